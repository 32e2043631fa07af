"""What capture accepts, load accepts: names that a load would refuse are left out, and named."""

from pathlib import Path

import pytest

import fingerprint
import jellyml
from conftest import Folder
from jellyml.errors import JellyWarning
from jellyml.workspace import Workspace

ODD_NAMES = ("git~1", "GIT~1/inner.py", ".git .", "a:b.txt", "x\\..\\y.py", "sub/.GIT::$DATA")


@pytest.mark.parametrize("tracked", [False, True], ids=["untracked", "tracked"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_what_a_load_would_refuse_is_left_out_and_named(
    repo: Folder, tmp_path: Path, name: str, tracked: bool
) -> None:
    repo.write(name, "odd")
    if tracked:
        repo.git("-c", "core.protectNTFS=false", "add", "-A")
        repo.git("-c", "core.protectNTFS=false", "commit", "-q", "-m", "odd")
    before = fingerprint.files(repo.path)

    with pytest.warns(JellyWarning, match="was left out of the snapshot: its name"):
        snapshot = jellyml.create_snapshot(repo.path, strict=True, history="none")

    (left,) = snapshot.left_out
    assert (left.path, left.reason) == (name, "name")
    model = tmp_path / "model.pth"
    model.write_bytes(snapshot.filling)
    Workspace(repo.path).load(model)
    assert repo.read("train.py") == b"print('two')\n"
    Workspace(repo.path).undo()
    assert fingerprint.files(repo.path) == before


def test_a_link_into_git_is_left_out_and_named(repo: Folder, tmp_path: Path) -> None:
    (repo.path / "hooks").symlink_to(".git/hooks")
    with pytest.warns(JellyWarning, match="hooks was left out"):
        snapshot = jellyml.create_snapshot(repo.path, strict=True)
    model = tmp_path / "model.pth"
    model.write_bytes(snapshot.filling)
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    assert (repo.path / "hooks").is_symlink()
