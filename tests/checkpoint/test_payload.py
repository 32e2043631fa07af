"""What ``fill`` looks for before it puts code into a checkpoint: all of it, history included."""

import sys
import warnings
from pathlib import Path

import pytest
import torch

import jellyml
from at_the_keyboard import start_command, type_command
from captures import taken
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.errors import JellyWarning, SecretsFound
from jellyml.secrets import detect_secrets, patterns, search
from planted_keys import PLANTED

WITHOUT_FORM = "password = 'Gr8-" + "correct-horse-42'\n"
TOKEN = PLANTED["a GitHub token"]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.pth"
    torch.save({"w": torch.arange(6.0)}, path)
    return path


@pytest.fixture
def leaky(repo: Folder) -> Folder:
    """One committed that has no form, and one that the history alone holds."""
    repo.write("settings.py", f"\n{WITHOUT_FORM}")
    repo.write("old.env", TOKEN)
    repo.commit()
    repo.git("rm", "-q", "old.env")
    repo.commit()
    return repo


def noted(model: Path) -> object:
    code = (Checkpoint.open(model).manifest or {})["code"]
    assert isinstance(code, dict)
    return code.get("secrets")


def test_all_of_the_code_is_looked_through(leaky: Folder, plain: Path) -> None:
    before = plain.read_bytes()
    for _ in range(2):  # the second capture comes from the cache
        with pytest.warns(JellyWarning) as said:
            jellyml.fill(plain, code_dir=leaky.path)
        (sentence,) = [str(one.message) for one in said]
        assert "Secret Keyword in line 2 of settings.py, " in sentence
        assert "a GitHub token in line 1 of old.env as it once was. Fix: jellyml check " in sentence
        assert TOKEN not in sentence
        assert "correct-horse" not in sentence
        assert noted(plain) == [{"path": "settings.py", "line": 2, "kind": "Secret Keyword"}]
    jellyml.strip(plain)
    assert plain.read_bytes() == before


def test_what_the_capture_named_is_not_said_again(repo: Folder, plain: Path) -> None:
    repo.write("new.py", f"{TOKEN}\n{WITHOUT_FORM}")
    with pytest.warns(JellyWarning) as said:
        jellyml.fill(plain, code_dir=repo.path)
    first, second = (str(one.message) for one in said)
    assert "a GitHub token in line 1 of new.py" in first
    assert "GitHub" not in second
    assert "Secret Keyword in line 2 of new.py" in second
    assert [one["line"] for one in noted(plain)] == [1, 2]  # type: ignore[attr-defined]


def test_it_can_be_an_error(leaky: Folder, plain: Path) -> None:
    leaky.write("pyproject.toml", '[tool.jellyml]\non_secrets = "error"\n')
    before = plain.read_bytes()
    with pytest.raises(SecretsFound, match=r"Secret Keyword in line 2 of settings\.py"):
        jellyml.fill(plain, code_dir=leaky.path)
    leaky.write("settings.py", "import os\n")
    with pytest.raises(SecretsFound, match="as it once was") as refused:
        jellyml.fill(plain, code_dir=leaky.path)
    assert "--history none" in refused.value.fix
    assert plain.read_bytes() == before
    filled = jellyml.fill(
        plain, code_dir=leaky.path, history="none"
    )  # our own setting is no secret
    assert filled.commit


def test_it_can_be_left(leaky: Folder, plain: Path) -> None:
    leaky.write("pyproject.toml", '[tool.jellyml]\non_secrets = "ignore"\n')
    jellyml.fill(plain, code_dir=leaky.path)
    jellyml.fill(plain, source=plain, code_dir=leaky.path)
    assert noted(plain) is None


def test_without_detect_secrets_the_capture_has_looked(
    leaky: Folder, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "detect_secrets", None)
    said = type_command("fill", plain, cwd=leaky.path)
    assert (said.status, said.err) == (0, "")
    assert noted(plain) is None


def test_a_snapshot_that_was_taken_before_is_put_in_as_it_is(leaky: Folder, plain: Path) -> None:
    jellyml.fill(plain, taken(leaky.path))
    assert noted(plain) is None


def test_code_from_another_checkpoint_is_looked_through(leaky: Folder, plain: Path) -> None:
    leaky.write("pyproject.toml", '[tool.jellyml]\non_secrets = "error"\n')
    jellyml.fill(plain, taken(leaky.path))
    said = type_command("fill", "--from", plain, plain, cwd=leaky.path)
    assert said.status == 0
    assert (
        "Secret Keyword in line 2 of settings.py, a GitHub token in line 1 of old.env" in said.err
    )
    said = type_command("fill", "--from", plain, "--history", "none", plain, cwd=leaky.path)
    assert said.err == ""  # what is left was told, and is noted


def test_many_are_counted(repo: Folder, plain: Path) -> None:
    for number in range(8):
        repo.write(f"s{number}.py", WITHOUT_FORM)
    repo.commit()
    said = type_command("fill", plain, cwd=repo.path)
    assert "of s2.py, and 5 more. Fix: jellyml check" in said.err
    assert len(noted(plain)) == 8  # type: ignore[arg-type]


def test_detect_secrets_does_not_silence_the_warnings_of_others(leaky: Folder, plain: Path) -> None:
    """In a process of its own, where it is imported for the first time."""
    said = start_command("fill", str(plain), cwd=leaky.path)
    assert "The code holds what looks like a secret" in said.err
    with detect_secrets.searching(), pytest.warns(UserWarning, match="still here"):
        warnings.warn("still here", UserWarning, stacklevel=1)


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_passed_on_is_masked(kind: str) -> None:
    secret = PLANTED[kind]
    whole = f"+x = '{secret}'\n+y = 1\n".encode()
    if kind == patterns.PRIVATE_KEY:
        more = f"+{'x' * 60}\n+{'x' * 12}==\n+-----END RSA PRIVATE KEY-----\n+y = 1\n"
        whole = f"+{secret}\n{more}".encode()
    masked = search.masked(whole)
    assert b"***" in masked
    assert masked.endswith(b"+y = 1\n")
    assert search.masked(masked) == masked
    assert not [part for part in secret.split("\n") if len(part) > 20 and part.encode() in masked]
    assert b"xxxxx" not in masked


def test_what_is_no_secret_is_not_masked() -> None:
    text = b"x = 1\n" + f"{TOKEN}  # pragma: allowlist secret\n".encode()
    assert search.masked(text) == text
