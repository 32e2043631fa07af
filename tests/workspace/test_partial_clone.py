"""Files that are on disk and whose blobs git lacks: captured, and restored by undo."""

from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.capture.bundle import History
from jellyml.workspace import Workspace


@pytest.fixture
def clone(repo: Folder, tmp_path: Path) -> Folder:
    """A blobless clone of ``repo`` with its files, and without a blob."""
    repo.git("config", "uploadpack.allowFilter", "true")
    place = tmp_path / "clone"
    url = f"file://{repo.path}"
    repo.git("clone", "-q", "--no-checkout", "--filter=blob:none", url, str(place))
    found = Folder(place)
    for name in (".gitignore", "train.py", "lib/net.py"):
        found.write(name, repo.read(name))
    found.git("read-tree", "HEAD")
    found.git("update-index", "-q", "--refresh")
    assert found.git("status", "--short") == b""
    missing = found.git("rev-list", "--objects", "--all", "--missing=print")
    assert len([line for line in missing.splitlines() if line.startswith(b"?")]) >= 3
    return found


@pytest.mark.filterwarnings("ignore:The history was left out")
@pytest.mark.parametrize("history", ["auto", "none", 1])
def test_it_is_captured(clone: Folder, tmp_path: Path, history: History) -> None:
    clone.write("new.py", "new\n")
    snapshot = jellyml.create_snapshot(clone.path, strict=True, history=history)
    torch.save({**snapshot}, tmp_path / "m.pth")
    Workspace(clone.path).load(tmp_path / "m.pth", to=tmp_path / "new")
    assert fingerprint.files(tmp_path / "new") == fingerprint.files(clone.path)


def test_undo_brings_the_files_back(repo: Folder, clone: Folder, tmp_path: Path) -> None:
    repo.write("train.py", "another\n")
    (repo.path / "lib/net.py").unlink()
    torch.save({**jellyml.create_snapshot(repo.path, strict=True)}, tmp_path / "m.pth")
    before = fingerprint.workspace(clone)

    Workspace(clone.path).load(tmp_path / "m.pth")
    assert clone.read("train.py") == b"another\n"
    Workspace(clone.path).undo()
    assert fingerprint.workspace(clone) == before
    Workspace(clone.path).redo()
    Workspace(clone.path).undo()
    assert fingerprint.workspace(clone) == before


@pytest.mark.parametrize("clone_it", [False, True])
def test_a_sparse_checkout_without_an_index_is_captured(
    repo: Folder, tmp_path: Path, clone_it: bool
) -> None:
    place = Folder(tmp_path / "place")
    if clone_it:
        repo.git("clone", "-q", "--no-checkout", str(repo.path), str(place.path))
        place.git("sparse-checkout", "set", "lib")
    else:
        place.path.mkdir()
        place.git("init", "-q")
        place.git("sparse-checkout", "init")
    assert not (place.path / ".git/index").exists()
    place.write("train.py", "here\n")

    torch.save({**jellyml.create_snapshot(place.path, strict=True)}, tmp_path / "m.pth")

    assert list(jellyml.open(tmp_path / "m.pth").files) == ["train.py"]
