"""A file that git tracks inside an ignored folder belongs to the states, as any tracked file."""

from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.workspace import Workspace


def save(folder: Folder, path: Path) -> Path:
    torch.save({**jellyml.create_snapshot(folder.path, strict=True)}, path)
    return path


@pytest.fixture
def plain(repo: Folder, tmp_path: Path) -> Path:
    """A checkpoint without a tracked file in ``data``, which is ignored."""
    return save(repo, tmp_path / "plain.pth")


@pytest.fixture
def tracking(repo: Folder, tmp_path: Path) -> Path:
    """A checkpoint with one; ``repo`` is left as it was."""
    repo.git("switch", "-q", "-c", "experiment")
    repo.write("data/deep/config.yaml", "lr: 1\n")
    repo.git("add", "-f", "data/deep/config.yaml")
    repo.git("commit", "-qm", "a config")
    model = save(repo, tmp_path / "tracking.pth")
    repo.git("switch", "-q", "main")
    assert not (repo.path / "data").exists()
    return model


@pytest.mark.parametrize("there", ["noise", "an empty folder", "an empty folder below"])
def test_undo_and_redo_of_a_load_that_brings_one(repo: Folder, tracking: Path, there: str) -> None:
    if there == "noise":
        repo.write("data/noise", "mine\n")
    else:
        (repo.path / "data" / ("below" * there.endswith("below"))).mkdir(parents=True)
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(tracking)
    after = fingerprint.files(repo.path)
    assert "data/deep/config.yaml" in after

    assert Workspace(repo.path).undo().warnings == ()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert fingerprint.files(repo.path) == after
    Workspace(repo.path).restore(1)
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).restore(2)
    assert fingerprint.files(repo.path) == after


def test_redo_and_restore_of_a_load_that_removes_one(
    repo: Folder, plain: Path, tracking: Path
) -> None:
    repo.git("switch", "-q", "experiment")
    repo.write("data/noise", "mine\n")
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(plain)
    after = fingerprint.files(repo.path)
    assert "data/deep/config.yaml" not in after

    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert fingerprint.files(repo.path) == after
    Workspace(repo.path).undo()
    Workspace(repo.path).restore(2)
    assert fingerprint.files(repo.path) == after


@pytest.mark.parametrize("content", ["lr: 1\n", "of the user\n"])
def test_an_ignored_file_that_was_there_comes_back(
    repo: Folder, tracking: Path, content: str
) -> None:
    repo.write("data/deep/config.yaml", content)
    before = fingerprint.workspace(repo)
    for _ in range(2):
        Workspace(repo.path).load(tracking)
        assert repo.read("data/deep/config.yaml") == b"lr: 1\n"
        Workspace(repo.path).undo()
        assert fingerprint.workspace(repo) == before


def test_a_file_that_the_user_tracks_since_stays_and_is_named(repo: Folder, tracking: Path) -> None:
    """It may have been there before the load: an ignored file is never deleted."""
    repo.write("data/mine", "mine\n")
    Workspace(repo.path).load(tracking)
    repo.git("add", "-f", "data/mine")

    outcome = Workspace(repo.path).undo()

    assert repo.read("data/mine") == b"mine\n"
    assert [one for one in outcome.warnings if "data/mine stays" in one]


@pytest.mark.parametrize("nested", [False, True])
def test_redo_is_what_load_was_where_a_submodule_was_set_up_since(
    folder: Folder, tmp_path: Path, nested: bool
) -> None:
    other, upper = Folder(tmp_path / "other"), Folder(tmp_path / "upper")
    for one in (other, upper):
        one.path.mkdir()
        one.git("init", "-q", "-b", "main")
        one.write("file", "a file\n")
        one.commit()
    upper.git("submodule", "--quiet", "add", str(other.path), "sub")
    upper.commit()
    if nested:
        folder.git("init", "-q", "-b", "main")
        folder.write("train.py", "one\n")
        folder.commit()
    place = Folder(folder.path / "super" if nested else folder.path)
    folder.git("clone", "-q", str(upper.path), str(place.path))
    model = save(folder, tmp_path / "m.pth")
    place.git("submodule", "--quiet", "update", "--init")
    folder.write("train.py", "two\n")
    before = fingerprint.files(folder.path)

    Workspace(folder.path).load(model)
    after = fingerprint.files(folder.path)
    assert place.read("sub/file") == b"a file\n"
    assert place.git("status", "--short") == b""
    Workspace(folder.path).undo()
    assert fingerprint.files(folder.path) == before
    Workspace(folder.path).redo()
    assert fingerprint.files(folder.path) == after
