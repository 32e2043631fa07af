"""Credentials at capture: each kind is found, none is shown, and what is none is passed over."""

import os
import time
import warnings
from pathlib import Path

import pytest

import jellyml
from captures import taken
from conftest import Folder
from jellyml.errors import JellyWarning, SecretsFound
from jellyml.secrets import patterns, search
from jellyml.snapshot import serialization
from planted_keys import HEX, PLANTED, SIGNS


def found(text: str | bytes) -> list[tuple[int, str]]:
    return list(search.search(text.encode() if isinstance(text, str) else text))


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("around", ["{}", 'key = "{}"\n', "# a line\nx={},\ny", "\r\n{}\r\n"])
def test_each_kind_is_found_in_its_line(kind: str, around: str) -> None:
    line = around[: around.index("{")].count("\n") + 1
    assert found(around.replace("{}", PLANTED[kind])) == [(line, kind)]


def test_every_kind_is_tried() -> None:
    assert set(PLANTED) == set(patterns.FORMS)
    everything = "\n".join(PLANTED.values())
    assert [kind for _, kind in found(everything)] == list(PLANTED)


@pytest.mark.parametrize("key", ["wandb.login(key='{}')", "wandb login {}", "wandb_key: {}"])
def test_weights_and_biases_as_people_write_it(key: str) -> None:
    assert found(key.replace("{}", HEX + "0a1b2c3d")) == [(1, "a Weights & Biases key")]


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7" + "EXAMPLE",
        "hf_" + "x" * 34,
        "ghp_" + "your_token_here",
        "sk-learn-is-a-library",
        "task-" + SIGNS + SIGNS,  # the prefix ends a word
        "postgresql://user:password@localhost/db",
        "postgresql://{user}:{password}@{host}/db",
        "https://$USER:$TOKEN@example.org",
        "https://example.org:8080/a@b",
        "git@github.com:org/repo.git",
        're.compile("-----BEGIN RSA PRIVATE' + ' KEY-----")',
        "commit " + HEX + "0a1b2c3d",
        "wandb.log(" + HEX + "0a1b2c3d)",
        PLANTED["a GitHub token"] + "  # pragma: allowlist secret",
    ],
)
def test_what_is_none(text: str) -> None:
    assert found(text) == []


def test_the_comment_counts_for_its_own_line() -> None:
    token = PLANTED["a GitHub token"]
    assert [line for line, _ in found(f"{token}\n# pragma: allowlist secret\n{token}")] == [1, 3]


@pytest.fixture
def planted(repo: Folder) -> Folder:
    repo.write("old.py", PLANTED["a Slack token"])
    repo.commit()
    repo.write("train.py", f"import os\n\nTOKEN = '{PLANTED['a Hugging Face token']}'\n")
    repo.write("new folder/keys.env", PLANTED["an AWS key"])
    repo.write("staged.py", PLANTED["a Stripe key"])
    repo.git("add", "staged.py")
    return repo


WANTED = [
    {"path": "new folder/keys.env", "line": 1, "kind": "an AWS key"},
    {"path": "staged.py", "line": 1, "kind": "a Stripe key"},
    {"path": "train.py", "line": 3, "kind": "a Hugging Face token"},
]


def recorded(snapshot: jellyml.Snapshot) -> object:
    code = serialization.parse_manifest(snapshot.manifest)["code"]
    assert isinstance(code, dict)
    return code.get("secrets")


def test_a_capture_warns_and_notes_what_differs_from_head(planted: Folder) -> None:
    for _ in range(2):  # the second comes from the cache
        with pytest.warns(JellyWarning) as said:
            snapshot = jellyml.create_snapshot(planted.path)
        assert snapshot.commit
        assert recorded(snapshot) == WANTED
        sentences = [str(one.message) for one in said]
        assert any("a Hugging Face token in line 3 of train.py" in one for one in sentences)
        assert len(sentences) == len(WANTED)
        for secret in PLANTED.values():
            assert secret.encode() not in snapshot.manifest
            assert not any(secret in one for one in sentences)


def test_it_can_be_an_error(planted: Folder) -> None:
    with pytest.raises(SecretsFound, match=r"an AWS key in line 1 of new folder/keys\.env"):
        jellyml.create_snapshot(planted.path, on_secrets="error")
    planted.git("stash", "-q", "--include-untracked")
    assert jellyml.create_snapshot(planted.path, on_secrets="error").commit


def test_it_can_be_left(planted: Folder) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snapshot = jellyml.create_snapshot(planted.path, on_secrets="ignore")
    assert recorded(snapshot) is None
    assert taken(planted.path).commit == snapshot.commit


@pytest.mark.parametrize("at", [(4 << 20) - 20, (4 << 20) + 5, 8 << 20, (9 << 20) - 40])
def test_a_large_file_is_searched_in_pieces(repo: Folder, at: int) -> None:
    row = b"0123456789abcde\n"
    token = PLANTED["a GitHub token"].encode()
    before = row * (at // 16) + b"." * (at % 16)
    repo.write("corpus.txt", before + b" " + token + b"\n" + row * ((9 << 20) // 16))
    where = f"GitHub token in line {at // 16 + 1} of corpus.txt"
    with pytest.warns(JellyWarning, match=where) as said:
        jellyml.create_snapshot(repo.path)
    assert len(said) == 1


@pytest.mark.parametrize("size", [1000, 9 << 20])
def test_binary_files_are_passed_over(repo: Folder, size: int) -> None:
    repo.write("data.bin", b"\0" * size + PLANTED["a GitHub token"].encode())
    assert recorded(jellyml.create_snapshot(repo.path)) is None


@pytest.mark.parametrize(
    "text",
    ["wandb key ", "eyJaaaaaaaaaaaa.", "://a", "http://aaaaaaaa:", "sk-", "SG.", "-----BEGIN A ",
     "hooks.slack.com/services/T", "-----BEGIN PRIVATE" + " KEY-----\n",
     "-----BEGIN PRIVATE" + " KEY-----" + r"\\\\n" * 8, r"user:" + r"\\\\n" * 12, "user: token: ",
     "machine a login ", "machine a login" + r"\\n" * 8, "machine ,,,,", "AKIA" + "A" * 16 + " ",
     "secret_access_key = ", r"account_key" + r"\\n" * 4, "sig=", "sk-proj-", "as-", "hvs.",
     "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0t", "xoxb-", "IQoJb3JpZ2lu", "sk-aT3BlbkFJ"],
)  # fmt: skip
def test_the_time_is_proportional_whatever_the_text(text: str) -> None:
    """A quadratic search would hang. The benchmark row `limits` checks the promised 50 ms a MB."""
    data = text.encode() * (2_000_000 // len(text))
    began = time.process_time()
    list(search.search(data))
    assert time.process_time() - began < 60


def test_a_link_is_not_followed(repo: Folder, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(PLANTED["a GitHub token"])
    os.symlink(tmp_path / "outside", repo.path / "link")  # noqa: PTH211
    assert recorded(jellyml.create_snapshot(repo.path)) is None
