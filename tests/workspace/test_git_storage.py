"""Git's own folders inside the working tree are no code, whatever their name."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.repo.alternates import object_stores
from jellyml.repo.repository import Repository
from jellyml.repo.storage import storage_inside
from jellyml.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the layouts are links")


def separate(folder: Folder) -> str:
    shutil.move(folder.path / ".git", folder.path / "store")
    folder.write(".git", "gitdir: store\n")
    return "store"


def separate_through_a_link(folder: Folder) -> str:
    shutil.move(folder.path / ".git", folder.path / "store")
    (folder.path / "way").symlink_to("store")
    folder.write(".git", "gitdir: way\n")
    return "store"


def dot_git_is_a_link(folder: Folder) -> str:
    shutil.move(folder.path / ".git", folder.path / ".git_a")
    (folder.path / ".git").symlink_to(".git_a")
    return ".git_a"


def bare_of_a_worktree(folder: Folder) -> str:
    folder.git("clone", "-q", "--bare", ".", "store")
    shutil.rmtree(folder.path / ".git")
    bare = Folder(folder.path / "store")
    bare.git("worktree", "add", "-q", "-f", "../w", "main")
    shutil.move(folder.path / "w/.git", folder.path / ".git")
    shutil.rmtree(folder.path / "w")
    bare.write("worktrees/w/gitdir", f"{folder.path}/.git\n")
    return "store"


def alternates(folder: Folder) -> str:
    folder.git("clone", "-q", "--bare", ".", "store")
    folder.write("a.py", "only in the alternate\n")
    folder.write(".git/objects/info/alternates", f"{folder.path}/store/objects\n")
    return "store"


def alternates_of_alternates(folder: Folder) -> str:
    folder.git("clone", "-q", "--bare", ".", "store")
    other = Folder(folder.path / "../other.git")
    folder.git("clone", "-q", "--bare", ".", str(other.path))
    other.write("objects/info/alternates", f"{folder.path}/store/objects\n")
    folder.write(".git/objects/info/alternates", f"{other.path}/objects\n")
    return "store"


def nested(folder: Folder, name: str = "other") -> str:
    folder.git("init", "-q", "--separate-git-dir=store", name)
    inner = Folder(folder.path / name)
    inner.write("code.py", "of the library\n")
    inner.commit()
    return "store"


def nested_where_files_are_tracked(folder: Folder) -> str:
    return nested(folder, "lib")


LAYOUTS = [
    separate,
    separate_through_a_link,
    dot_git_is_a_link,
    bare_of_a_worktree,
    alternates,
    alternates_of_alternates,
    nested,
    nested_where_files_are_tracked,
]
Layout = Callable[[Folder], str]


def save(repo: Folder, path: Path) -> list[str]:
    torch.save({**jellyml.create_snapshot(repo.path, strict=True)}, path)
    return [str(one) for one in jellyml.open(path).files]


def storage_of(repo: Folder, name: str) -> dict[str, object]:
    """The files in git's folder, without JellyML's and those that a load writes."""
    written = ("jellyml", "refs/jellyml", "HEAD", "index", "logs", "worktrees", "objects")
    found = fingerprint.files(repo.path / name)
    return {path: found[path] for path in found if not path.startswith(written)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_git_s_folders_are_never_captured_moved_or_written(
    repo: Folder, tmp_path: Path, layout: Layout
) -> None:
    name = layout(repo)
    inside = save(repo, tmp_path / "model.pth")
    assert not [one for one in inside if one.startswith((name, "way"))]
    repo.write("a.py", "two\n")
    repo.git("add", "a.py")
    repo.git("commit", "-qm", "two")
    repo.write("untracked.txt", "mine\n")
    was, files = storage_of(repo, name), fingerprint.files(repo.path)
    objects = {path for path in files if "objects/" in path}
    log = repo.git("log", "--format=%H")

    Workspace(repo.path).load(tmp_path / "model.pth")
    assert storage_of(repo, name).keys() >= was.keys()
    assert Workspace(repo.path).undo().warnings == ()

    assert repo.git("log", "--format=%H") == log
    assert storage_of(repo, name) == was
    assert objects <= fingerprint.files(repo.path).keys()
    assert repo.read("untracked.txt") == b"mine\n"
    assert not [one for one in Workspace(repo.path).doctor() if not one.expected]
    repo.git("fsck", "--full")


@pytest.mark.parametrize("path", ["store/HEAD", "store/new", "store"])
@pytest.mark.parametrize("layout", [separate, alternates])
def test_code_with_a_path_in_git_s_folder_leaves_it_out(
    repo: Folder, tmp_path: Path, layout: Layout, path: str
) -> None:
    """As JellyML 2.0 captured it, or as another repository has it."""
    repo.write(path, "of the code\n")
    save(repo, tmp_path / "model.pth")
    repo.git("clean", "-fdq")
    name = layout(repo)
    was = storage_of(repo, name)

    outcome = Workspace(repo.path).load(tmp_path / "model.pth")
    assert [one for one in outcome.warnings if path in one and "git stores" in one]
    Workspace(repo.path).undo()
    Workspace(repo.path).redo()
    Workspace(repo.path).undo()

    assert storage_of(repo, name) == was
    assert (repo.path / name / "HEAD").is_file()
    repo.git("fsck", "--full")


def test_a_file_above_git_s_folder_is_left_out(repo: Folder, tmp_path: Path) -> None:
    repo.write("deep", "a file\n")
    save(repo, tmp_path / "model.pth")
    repo.git("clean", "-fdq")
    (repo.path / "deep").mkdir()
    shutil.move(repo.path / ".git", repo.path / "deep/store")
    repo.write(".git", "gitdir: deep/store\n")

    outcome = Workspace(repo.path).load(tmp_path / "model.pth")

    assert [one for one in outcome.warnings if "deep was left" in one]
    assert (repo.path / "deep/store/HEAD").is_file()


def test_files_of_git_that_were_committed_are_no_code(repo: Folder, tmp_path: Path) -> None:
    repo.write("store/notes", "committed before it became git's folder\n")
    repo.commit()
    shutil.move(repo.path / ".git", repo.path / "store/git")
    shutil.move(repo.path / "store", repo.path / "moved")
    shutil.move(repo.path / "moved/git", repo.path / "store")
    repo.write(".git", "gitdir: store\n")

    assert not [one for one in save(repo, tmp_path / "m.pth") if one.startswith("store")]


def test_an_ordinary_repository_has_no_storage_to_look_out_for(repo: Folder) -> None:
    assert not storage_inside(repo.path, [Repository.find(repo.path)])


def test_a_link_loop_ends(repo: Folder) -> None:
    repo.write(".git/objects/info/alternates", "../../loop/objects\n")
    (repo.path / "loop").symlink_to("pool")
    (repo.path / "pool").symlink_to("loop")
    assert storage_inside(repo.path, [Repository.find(repo.path)]).paths == {b"loop", b"pool"}


def test_a_store_that_names_itself_many_times_is_followed_once(repo: Folder) -> None:
    """The list may have come with the folder: each level would multiply it."""
    lines = [f"../objects{'/.' * number}\n" for number in range(300)]
    repo.write(".git/objects/info/alternates", "".join(lines) + "\0\n/nowhere\n")
    assert len([*object_stores(repo.path / ".git/objects")]) <= len(lines) + 3
    start = time.process_time()
    assert jellyml.create_snapshot(repo.path, strict=True).filling
    assert time.process_time() - start < 20
