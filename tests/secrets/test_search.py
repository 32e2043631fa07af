"""The search as a whole: every key in every kind of file, whatever is around it."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jellyml.secrets import search
from jellyml.secrets.patterns import FORMS
from jellyml.secrets.redact import MASK, mask_arguments, mask_text
from planted_keys import MAKERS, PLANTED, Assignments

SITE = Path(pytest.__file__).parents[1]  # where packages are installed
FILES_OF_OTHERS = 600
KEYS = 4_000  # random ones of each form


def kinds(content: bytes | str) -> set[str]:
    data = content.encode() if isinstance(content, str) else content
    return {kind for _, kind in search.in_content(data)}


def _python(names: Assignments) -> str:
    return "import os\n\n" + "".join(f"{name} = {value!r}\n" for name, value in names.items())


def _environment(names: Assignments) -> str:
    return "# local\n" + "".join(f"{name}={value}\n" for name, value in names.items())


def _json(names: Assignments) -> str:
    return json.dumps({"lr": 0.1, **names}, indent=2)


def _notebook(names: Assignments) -> str:
    cell = {"cell_type": "code", "source": _python(names).splitlines(keepends=True)}
    return json.dumps({"cells": [cell]}, indent=1)


def _command(names: Assignments) -> str:
    words = [f"--{name.lower().replace('_', '-')} '{value}'" for name, value in names.items()]
    variables = [f"{name}='{value}'" for name, value in names.items()]
    return f"{' '.join(variables)} python train.py {' '.join(words)}\n"


FILES: dict[str, Callable[[Assignments], str]] = {
    ".py": _python,
    ".env": _environment,
    ".json": _json,
    ".ipynb": _notebook,
    ".sh": _command,
}


def test_every_form_is_made() -> None:
    assert list(MAKERS) == list(FORMS) == list(PLANTED)


@pytest.mark.parametrize("kind", MAKERS)
def test_no_random_key_is_missed(kind: str) -> None:
    """An example is a whole value: a word that a random key contains by chance excuses nothing."""
    dice = random.Random(kind)
    missed = []
    for number in range(KEYS):
        names, secret = MAKERS[kind][number % len(MAKERS[kind])](dice)
        text = "\n".join(f"{name}={value}" for name, value in names.items())
        if kind not in {each for _, each in search.search(text.encode())}:
            missed.append(secret)
    assert missed == []


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", MAKERS)
def test_three_of_each_form_in_each_kind_of_file(kind: str, file: str) -> None:
    dice = random.Random(f"{kind} in {file}")
    for number in range(max(3, len(MAKERS[kind]))):
        names, secret = MAKERS[kind][number % len(MAKERS[kind])](dice)
        text = FILES[file](names)
        assert kind in kinds(text), text
        assert secret not in mask_text(text)
        assert secret not in search.masked(text.encode()).decode()


@pytest.mark.parametrize("kind", MAKERS)
def test_three_of_each_form_on_a_command_line(kind: str) -> None:
    dice = random.Random(f"the words of {kind}")
    for number in range(max(3, len(MAKERS[kind]))):
        names, secret = MAKERS[kind][number % len(MAKERS[kind])](dice)
        variables = [f"{name}={value}" for name, value in names.items()]
        options = [word for name, value in names.items() for word in (f"--{name.lower()}", value)]
        for words in (["env", *variables, "python", "t.py"], ["python", "t.py", *options]):
            masked = mask_arguments(words)
            assert len(masked) == len(words)
            assert secret not in " ".join(masked)


BEFORE = [
    r"\n", r"\t", r"\\n", r"\x22", r"%22", r"\u0022", r"\033[31m", r"\x1b[1;32m", "\x1b[31m",
    "\x1b[0m", "\x1b[1;31m", "\x1b[38;5;208m", "\x1b[K", "run_", "=", '"',
]  # fmt: skip


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("kind", ["a GitHub token", "an OpenAI key", "an AWS key", "an npm token"])
def test_a_token_is_found_after_an_escape(kind: str, before: str) -> None:
    assert kinds(f"print('{before}{PLANTED[kind]}')") == {kind}


@pytest.mark.parametrize("before", ["a", "Z", "7", "mod"])
def test_a_prefix_in_a_word_is_none(before: str) -> None:
    assert kinds(before + PLANTED["an OpenAI key"]) == set()


ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_token_is_found_in_any_unicode_file(tmp_path: Path, encoding: str) -> None:
    text = (
        "# 上海 a comment\nlr = 0.1\n" + f"TOKEN = '{PLANTED['a GitHub token']}'\n" + "x = 1\n" * 40
    )
    data = text.encode(encoding)
    assert list(search.in_content(data)) == [(3, "a GitHub token")]
    large = (text + "x = 1\n" * 900_000 + f"# 上 {PLANTED['an npm token']}\n").encode(encoding)
    (tmp_path / "large").write_bytes(large)
    expected = [(3, "a GitHub token"), (900_044, "an npm token")]
    assert list(search.in_content(tmp_path / "large")) == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed(encoding: str) -> None:
    text = "上海" * 4_000 + f"\n{PLANTED['a GitHub token']}\n"
    assert list(search.in_content(text.encode(encoding))) == [(2, "a GitHub token")]


@pytest.mark.parametrize(
    ("words", "masked"),
    [
        ("curl -u alice hunter2 https://h/x", "curl -u alice *** https://h/x"),
        ("curl -u alice:hunter2 https://h/x", "curl -u alice:*** https://h/x"),
        ("/usr/bin/curl --user alice:hunter2 h", "/usr/bin/curl --user alice:*** h"),
        ("curl -u alice https://h/x", "curl -u alice https://h/x"),
        ("curl -u alice example.org/x", "curl -u alice example.org/x"),
        ("wandb login 0123456789abcdef0123", "wandb login ***"),
        ("wandb login --relogin 0123456789abcdef0123", "wandb login --relogin ***"),
        ("vault login s.0123456789abcdef0123", "vault login ***"),
        ("docker login -u alice -p hunter2 h", "docker login -u alice -p *** h"),
        ("sshpass -p hunter2 ssh h", "sshpass -p *** ssh h"),
        ("mysql -u root -phunter2 runs", "mysql -u root -p*** runs"),
        ("aws configure set aws_secret_access_key hunter2", "aws configure set"
         " aws_secret_access_key ***"),
        ("curl -H Authorization: Basic hunter2 h", "curl -H Authorization: Basic *** h"),
        ("python train.py -p 8080 login now", "python train.py -p 8080 login now"),
    ],
)  # fmt: skip
def test_words_are_joined_before_they_are_masked(words: str, masked: str) -> None:
    assert mask_arguments(words.split()) == masked.split()
    assert mask_arguments(["a b", *words.split(), "c\x1fd"])[1:-1] == masked.split()


@pytest.mark.parametrize(
    "value",
    [
        "AKIAIOSFODNN7" + "EXAMPLE",
        "hf_" + "x" * 34,
        "ghp_" + "0" * 36,
        "xoxb-" + "x" * 12 + "-" + "x" * 24,
        "postgresql://user:password@localhost/db",
        "postgresql://user:your-password@localhost/db",
        "postgresql://user:mypassword@localhost/db",
        "postgresql://user:changeme@localhost/db",
        "machine example.org login me password secret",
        "machine {host} login {user} password {password}",
        "token = sk-toggleable-label-estimator-content-of-a-notebook",
    ],
)
def test_a_whole_value_may_be_an_example(value: str) -> None:
    assert kinds(f"x = {value}\n") == set()


@pytest.mark.parametrize("word", ["my", "your", "EXAMPLE", "password", "secret", "user", "token"])
def test_a_part_of_a_value_makes_no_example(word: str) -> None:
    token = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fG" + "aB3d"
    assert kinds(token[: -len(word)] + word) == {"a GitHub token"}
    assert kinds("ghp_" + word + token[4 + len(word) :]) == {"a GitHub token"}
    assert kinds(f"redis://h:{word}1pQ8x@host") == {"a password in an address"}


def test_a_secret_without_a_name_is_masked_beside_its_key_id() -> None:
    text = (
        f"boto3.client('s3', '{PLANTED['an AWS key']}', 'aB3dE6gH9j/2mN5pQ8sT+vW4xY7zC0fG/abc+DEF')"
    )
    assert mask_text(text) == "boto3.client('s3', '***', '***')"
    assert kinds(text) == {"an AWS key", "an AWS secret key"}


def test_only_whole_matches_are_masked() -> None:
    text = f"a {PLANTED['a GitHub token']}, b {PLANTED['a password in an address']}"
    assert search.masked_text(text) == (
        f"a {MASK}, b postgresql://alice:{MASK}@db.example.org/runs"
    )
    assert search.masked_text("nothing \udc80 here") == "nothing \udc80 here"


def _installed() -> list[Path]:
    """Ordinary files of well-known projects, always the same ones of an environment."""
    suffixes = (".py", ".json", ".toml", ".md")
    paths = sorted(path for path in SITE.rglob("*") if path.suffix in suffixes and path.is_file())
    return random.Random(1).sample(paths, min(FILES_OF_OTHERS, len(paths)))


def test_installed_code_raises_no_alarm() -> None:
    files = _installed()
    alarms = [path for path in files if kinds(path.read_bytes())]
    assert len(files) > 100
    assert len(alarms) <= 2, alarms


def test_the_search_takes_at_most_50_ms_a_megabyte() -> None:
    code = b"".join(path.read_bytes() for path in _installed() if path.suffix == ".py")[:4_000_000]
    assert len(code) > 500_000
    times = []
    for _ in range(3):  # the first compiles the expressions
        began = time.process_time()
        list(search.search(code))
        times.append(time.process_time() - began)
    assert min(times) / len(code) < 0.050 / 1_000_000
