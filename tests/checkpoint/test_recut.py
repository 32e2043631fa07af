"""A checkpoint's history cut: the same code and commit, and nothing of what was before it."""

import subprocess
from pathlib import Path

import pytest
import torch

import jellyml
from at_the_keyboard import type_command
from captures import unpacked, walked
from conftest import Folder
from jellyml.capture.bundle import History
from jellyml.checkpoint import Checkpoint
from jellyml.checkpoint.fill import fill
from jellyml.errors import UsageError
from jellyml.workspace import Workspace

SECRET = b"the word that must go"


@pytest.fixture
def long(repo: Folder) -> Folder:
    for number in range(5):
        repo.write("secret.txt", SECRET + b"%d" % number)
        repo.commit(f"commit {number}")
    repo.git("rm", "-q", "secret.txt")
    repo.commit("without it")
    return repo


def saved(repo: Folder, path: Path, history: History | None = None) -> Path:
    snapshot = jellyml.create_snapshot(repo.path, history=history)
    torch.save({"w": torch.arange(4.0), **snapshot}, path)
    return path


def texts(path: Path, place: Path) -> str:
    """Every commit and patch in a checkpoint, as git tells them."""
    place.mkdir()
    (place / "b").write_bytes(Checkpoint.open(path).records()[0][1024:])
    clone = ["git", "clone", "-q", "--bare", str(place / "b"), str(place / "c")]
    subprocess.run(clone, check=True, capture_output=True)
    log = ["git", "-C", str(place / "c"), "log", "-p", "HEAD"]
    return subprocess.run(log, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize(("kept", "secret"), [("none", False), (0, False), (1, True), (99, True)])
def test_the_code_stays_and_what_was_before_goes(
    long: Folder, tmp_path: Path, dirty: bool, kept: History, secret: bool
) -> None:
    if dirty:
        long.write("train.py", "edited")
    model = saved(long, tmp_path / "model.pth")
    commit = Checkpoint.open(model).header.commit
    wanted = walked(long.path)

    fill(model, source=model, history=kept, replace=True)

    header = Checkpoint.open(model).header
    assert (header.stands_for or header.commit) == commit
    assert unpacked(Checkpoint.open(model).records()[0], tmp_path / "unpacked") == wanted
    told = texts(model, tmp_path / "told")
    assert (SECRET.decode() in told) == (secret and not (dirty and kept == 1))
    assert (SECRET in model.read_bytes()) is False  # packed, and the old bytes are wiped
    assert torch.equal(torch.load(model, weights_only=True)["w"], torch.arange(4.0))


def test_a_load_where_the_history_is_gives_the_true_commit(long: Folder, tmp_path: Path) -> None:
    long.write("train.py", "edited")
    model = saved(long, tmp_path / "model.pth")
    commit = Checkpoint.open(model).header.commit
    fill(model, source=model, history="none", replace=True)
    long.git("checkout", "-q", "--", ".")
    Workspace(long.path).load(model)
    assert long.git("rev-parse", "HEAD").decode().strip() == commit
    assert long.read("train.py") == b"edited"


def test_a_load_elsewhere_gives_the_code(long: Folder, tmp_path: Path) -> None:
    model = saved(long, tmp_path / "model.pth")
    wanted = walked(long.path)
    fill(model, source=model, history="none", replace=True)
    said = type_command("load", model, "--to", tmp_path / "new", cwd=tmp_path)
    assert said.status == 0
    assert walked(tmp_path / "new") == wanted


def test_what_was_cut_can_be_cut_again(long: Folder, tmp_path: Path) -> None:
    model = saved(long, tmp_path / "model.pth", history=3)
    before = Checkpoint.open(model)
    assert before.header.stands_for
    assert before.manifest
    fill(model, source=model, history="none", replace=True)
    after = Checkpoint.open(model)
    assert after.header.stands_for == before.header.stands_for
    assert after.manifest
    told = [one.manifest["code"]["commit_texts"] for one in (before, after)]  # type: ignore[index]
    assert told[0] == told[1]
    assert SECRET.decode() not in texts(model, tmp_path / "told")


def test_cut_as_a_capture_would_have_been(long: Folder, tmp_path: Path) -> None:
    long.write("train.py", "edited")
    model = saved(long, tmp_path / "model.pth")
    fill(model, source=model, history=2, replace=True)
    direct = Checkpoint.open(saved(long, tmp_path / "direct.pth", history=2))
    recut = Checkpoint.open(model)
    assert recut.header.commit == direct.header.commit
    assert recut.header.stands_for == direct.header.stands_for
    codes = [one.manifest["code"] for one in (recut, direct) if one.manifest]
    assert codes[0] == codes[1]


@pytest.mark.parametrize("history", ["full", "auto"])
def test_more_than_there_is_cannot_be_had(long: Folder, tmp_path: Path, history: History) -> None:
    model = saved(long, tmp_path / "model.pth")
    with pytest.raises(UsageError, match="a checkpoint has only the saved history"):
        fill(model, source=model, history=history, replace=True)


def test_the_command(long: Folder, tmp_path: Path) -> None:
    model = saved(long, tmp_path / "model.pth")
    words = ("fill", "--replace", "--from", model, "--history")
    assert type_command(*words, "none", model, cwd=tmp_path).status == 0
    assert SECRET.decode() not in texts(model, tmp_path / "told")
    wrong = type_command(*words, "some", model, cwd=tmp_path)
    assert wrong.status == 2
    assert "Traceback" not in wrong.err
    torch.save({"w": 1}, tmp_path / "plain.pth")
    plain = type_command("fill", tmp_path / "plain.pth", "--history", "1", cwd=long.path)
    assert plain.status == 0
    assert Checkpoint.open(tmp_path / "plain.pth").header.stands_for
