"""What is in the place of a submodule, or was added to one, comes back."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.workspace import Workspace
from jellyml.workspace.mover import Mover, SideEffects

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes")


@pytest.fixture
def module(repo: Folder, tmp_path: Path) -> Folder:
    """``repo`` with a submodule ``sub`` that is set up."""
    other = Folder(tmp_path / "other")
    other.path.mkdir()
    other.git("init", "-q", "-b", "main")
    other.write("file", "of the submodule\n")
    other.commit()
    repo.git("submodule", "--quiet", "add", str(other.path), "sub")
    repo.commit("a submodule")
    return repo


def save(folder: Folder, path: Path) -> jellyml.Snapshot:
    snapshot = jellyml.create_snapshot(folder.path, strict=True)
    torch.save({**snapshot}, path)
    return snapshot


def link_to_a_checkout(place: Path) -> None:
    place.symlink_to("../other")


def link_to_nothing(place: Path) -> None:
    place.symlink_to("nowhere")


def link_to_a_file(place: Path) -> None:
    place.symlink_to("train.py")


def a_file(place: Path) -> None:
    place.write_text("a file\n")


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def nothing(place: Path) -> None:
    assert not place.exists()


Replace = Callable[[Path], None]


@pytest.mark.parametrize("assumed", [False, True])
@pytest.mark.parametrize(
    "replace", [link_to_a_checkout, link_to_nothing, link_to_a_file, a_file, a_pipe, nothing]
)
def test_what_replaces_a_submodule_comes_back(
    module: Folder, tmp_path: Path, replace: Replace, assumed: bool
) -> None:
    save(module, tmp_path / "good.pth")
    if assumed:
        module.git("update-index", "--assume-unchanged", "sub")
    shutil.rmtree(module.path / "sub")
    replace(module.path / "sub")
    before = fingerprint.workspace(module)
    other = fingerprint.files(tmp_path / "other")

    loaded = Workspace(module.path).load(tmp_path / "good.pth")
    assert module.read("sub/file") == b"of the submodule\n"
    assert not [one for one in loaded.warnings if "sub/file" in one]
    undone = Workspace(module.path).undo()
    assert fingerprint.workspace(module) == before
    assert undone.warnings == ()
    Workspace(module.path).redo()
    Workspace(module.path).undo()

    assert fingerprint.workspace(module) == before
    assert fingerprint.files(tmp_path / "other") == other
    assert not Workspace(module.path).doctor()


@pytest.mark.parametrize("replace", [link_to_a_checkout, link_to_nothing, a_file, a_pipe])
def test_what_replaces_a_submodule_is_captured(
    module: Folder, tmp_path: Path, replace: Replace
) -> None:
    shutil.rmtree(module.path / "sub")
    replace(module.path / "sub")

    save(module, tmp_path / "m.pth")
    Workspace(module.path).load(tmp_path / "m.pth", to=tmp_path / "new")

    there = fingerprint.files(tmp_path / "new").get("sub")
    expected = None if replace is a_pipe else fingerprint.files(module.path)["sub"]
    assert there == expected


def test_undo_names_what_it_did_not_bring_back(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It compares type, mode and content, whatever the mover says."""
    save(repo, tmp_path / "m.pth")
    for name in ("content.py", "mode.py", "kind.py", "added.py"):
        repo.write(name, "mine\n")
    (repo.path / "train.py").chmod(0o600)
    (repo.path / "hollow").mkdir()
    Workspace(repo.path).load(tmp_path / "m.pth")
    (repo.path / "hollow").rmdir()
    (repo.path / "train.py").chmod(0o644)
    move = Mover.move

    def careless(self: Mover, moves: object, effects: SideEffects, *rest: object) -> None:
        move(self, moves, effects, *rest)  # type: ignore[arg-type]
        repo.write("content.py", "other\n")
        (repo.path / "mode.py").chmod(0o600)
        (repo.path / "kind.py").unlink()
        (repo.path / "kind.py").symlink_to("train.py")
        (repo.path / "train.py").chmod(0o640)
        (repo.path / "added.py").unlink()
        (repo.path / "hollow").rmdir()

    monkeypatch.setattr(Mover, "move", careless)
    outcome = Workspace(repo.path).undo()

    names = ("added.py", "content.py", "hollow", "kind.py", "mode.py", "train.py")
    assert outcome.warnings == tuple(f"{name} is not as it was in that state." for name in names)
    assert "is as it was," not in outcome.message[0]


def empty_index(inner: Folder) -> None:
    inner.write(".git/index", b"")


def lost_commit(inner: Folder) -> None:
    for folder in (inner.path / ".git/objects").glob("??"):
        shutil.rmtree(folder)


def newer_format(inner: Folder) -> None:
    inner.git("config", "core.repositoryformatversion", "1")
    inner.git("config", "extensions.refstorage", "new")


def of_another_user(inner: Folder) -> None:
    if os.getuid():
        pytest.skip("only root can give a folder away")
    for path in (inner.path, *inner.path.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)


Spoil = Callable[[Folder], None]


@pytest.mark.parametrize("since", [False, True])
@pytest.mark.parametrize("spoil", [empty_index, lost_commit, newer_format, of_another_user])
def test_a_nested_repository_that_git_cannot_read_stops_nothing(
    repo: Folder, tmp_path: Path, spoil: Spoil, since: bool
) -> None:
    save(repo, tmp_path / "plain.pth")
    inner = Folder(repo.path / "inner")

    def make() -> dict[str, object]:
        inner.path.mkdir()
        inner.git("init", "-q", "-b", "main")
        inner.write("code.py", "of the inner\n")
        inner.commit()
        spoil(inner)
        return fingerprint.files(inner.path)

    repo.write("train.py", "edited\n")
    was = {} if since else make()
    loaded = Workspace(repo.path).load(tmp_path / "plain.pth")
    was = make() if since else was
    undone = Workspace(repo.path).undo()

    named = undone if since else loaded
    assert [one for one in named.warnings if "inner stays as it is" in one]
    assert repo.read("train.py") == b"edited\n"
    assert fingerprint.files(inner.path) == was
    Workspace(repo.path).redo()
    assert fingerprint.files(inner.path) == was
    save(repo, tmp_path / "with.pth")
    assert "inner/code.py" in jellyml.open(tmp_path / "with.pth").files
