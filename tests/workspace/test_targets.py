"""Load, undo and redo in every state a repository can be in; gc and a lost stash in between."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import jellyml
from conftest import Folder
from jellyml.workspace import Workspace
from repository_states import (
    CONTENTS,
    ODD_NAMES,
    conflicted,
    deleted_in_conflict,
    detached,
    flagged,
    hooked,
    messy,
    noisy,
    prepared,
    resolved,
    split_index,
    typed_over,
)
from workspaces import differing, leftovers, seen

State = Callable[[Folder], None]


def source(repo: Folder, model: Path) -> None:
    """Commits, and a model with code that lay there between them, in no commit."""
    repo.write("train.py", "print('one')\n")
    repo.write("lib/net.py", "width = 8\n")
    repo.write(".gitignore", "*.log\n")
    repo.commit("first")
    prepared(repo)
    repo.write("train.py", "print('loaded')\n")
    repo.write("both.py", "loaded")
    repo.write("new/in/it.py", "loaded")
    (repo.path / "gone.py").unlink()
    model.write_bytes(jellyml.create_snapshot(repo.path, strict=True).filling)
    repo.git("reset", "-q", "--hard")
    repo.git("clean", "-fdq")


def reverting(repo: Folder) -> None:
    conflicted(repo)
    repo.git("merge", "--abort")
    repo.git("revert", "--no-edit", "HEAD~1", check=False)
    repo.git("revert", "--no-edit", "other", check=False)
    assert (repo.path / ".git/REVERT_HEAD").exists()


def applying(repo: Folder) -> None:
    conflicted(repo)
    repo.git("merge", "--abort")
    mail = repo.git("format-patch", "--stdout", "-1", "other")
    repo.git("am", "-q", check=False, stdin=mail)
    assert (repo.path / ".git/rebase-apply").exists()


def refusing_hook(repo: Folder) -> None:
    hooked(repo)
    repo.write(".git/hooks/reference-transaction", "#!/bin/sh\nexit 1\n", executable=True)


def line_ends(repo: Folder) -> None:
    repo.git("config", "core.autocrlf", "true")
    repo.write(".gitattributes", "*.txt text eol=crlf\nwide.txt working-tree-encoding=UTF-16\n")
    for name, content in CONTENTS.items():
        repo.write(name, content)
    repo.git("add", "-A", "--", ".", ":!wide.txt")
    repo.git("commit", "-q", "-m", "with rules")
    repo.write("lf.txt", "edited\r\n")


def failing_filter(repo: Folder) -> None:
    repo.write("a.ipynb", "clean")
    repo.write(".gitattributes", "*.ipynb filter=strip\n")
    repo.commit("notebooks")
    for name, value in (("clean", "no-such-program"), ("smudge", "false"), ("required", "true")):
        repo.git("config", f"filter.strip.{name}", value)
    repo.write("a.ipynb", "an edit")
    repo.write("c.ipynb", "new")


def odd_names(repo: Folder) -> None:
    for name in ODD_NAMES:
        repo.write(os.fsdecode(b"in " + name + b"/" + name), name)
    repo.commit("odd")
    for name in ODD_NAMES:
        repo.write(os.fsdecode(b"in " + name + b"/" + name), b"edited " + name)
        repo.write(os.fsdecode(name), name)


def odd_branch(repo: Folder) -> None:
    repo.git("switch", "-q", "-c", "-".join(("a", "$(touch_ran)", ";`x`", "\u00fc")))
    repo.git("update-index", "--index-version", "4")


def noisy_but_for_the_monitor(repo: Folder) -> None:
    noisy(repo)
    repo.git("config", "--unset", "core.fsmonitor")  # which the test's own git would start


def orphan(repo: Folder) -> None:
    repo.git("switch", "-q", "--orphan", "new")
    for name in ("train.py", "staged.py", "both.py", "gone.py", "back.py", "kind.py", "run.sh"):
        repo.write(name, "before the first commit")
    repo.git("add", "-A")


AT_FIRST = (
    detached, deleted_in_conflict, resolved, reverting, applying, line_ends, failing_filter,
    odd_names, odd_branch, orphan,
)  # fmt: skip
AT_LAST = (split_index, flagged, typed_over, noisy_but_for_the_monitor, refusing_hook)


@pytest.mark.parametrize("state", [*AT_FIRST, *AT_LAST], ids=lambda state: state.__name__)
def test_a_state(state: State, folder: Folder, tmp_path: Path) -> None:
    folder.git("init", "-q", "-b", "main")
    source(folder, tmp_path / "model.pth")
    if state in AT_LAST:
        messy(folder)
        state(folder)
    else:
        state(folder)
        messy(folder)
    goes_and_comes_back(folder, tmp_path / "model.pth")


def shallow(first: Folder, place: Path) -> None:
    first.git("clone", "-q", "--depth=1", first.path.as_uri(), str(place))


def shared(first: Folder, place: Path) -> None:
    first.git("clone", "-q", "--shared", str(first.path), str(place))


def separate(first: Folder, place: Path) -> None:
    at = place.with_name('else: "where"\nand so on')
    first.git("clone", "-q", "--separate-git-dir", str(at), str(first.path), str(place))
    Folder(place).git("config", "core.worktree", str(place))  # git clone does not record it


def of_a_bare_one(first: Folder, place: Path) -> None:
    bare = Folder(place.with_name("bare.git"))
    first.git("clone", "-q", "--bare", str(first.path), str(bare.path))
    bare.git("worktree", "add", "-q", "-b", "side", str(place), "main")


def submodule(first: Folder, place: Path) -> None:
    outer = Folder(place)
    outer.path.mkdir()
    outer.git("init", "-q")
    outer.git("submodule", "-q", "add", str(first.path), "vendor")
    outer.commit("with a submodule")


def unborn(_: Folder, place: Path) -> None:
    place.mkdir()
    Folder(place).git("init", "-q", "-b", "main")
    for name in ("train.py", "staged.py", "both.py", "gone.py", "back.py", "kind.py", "run.sh"):
        Folder(place).write(name, "before the first commit")
    Folder(place).git("add", "-A")


@pytest.mark.parametrize(
    "make",
    [shallow, shared, separate, of_a_bare_one, submodule, unborn],
    ids=lambda make: make.__name__,
)
def test_a_repository(make: Callable[[Folder, Path], None], folder: Folder, tmp_path: Path) -> None:
    folder.git("init", "-q", "-b", "main")
    source(folder, tmp_path / "model.pth")
    make(folder, tmp_path / "place")
    inside = tmp_path / "place" / ("vendor" if make is submodule else "")
    messy(Folder(inside))
    goes_and_comes_back(Folder(inside), tmp_path / "model.pth")


def test_the_other_object_format(folder: Folder, tmp_path: Path) -> None:
    folder.git("init", "-q", "-b", "main", "--object-format=sha256")
    source(folder, tmp_path / "model.pth")
    messy(folder)
    goes_and_comes_back(folder, tmp_path / "model.pth")


def test_inherited_variables(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.git("init", "-q", "-b", "main")
    source(folder, tmp_path / "model.pth")
    messy(folder)
    before = seen(folder.path)
    with monkeypatch.context() as patch:
        for name in ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "SHALLOW_FILE"):
            patch.setenv(f"GIT_{name}", str(tmp_path / "nowhere"))
        patch.setenv("GIT_LITERAL_PATHSPECS", "1")
        patch.setenv("GIT_COMMITTER_DATE", "not a date")
        Workspace(folder.path).load(tmp_path / "model.pth")
        assert folder.read("train.py") == b"print('loaded')\n"
        Workspace(folder.path).undo()
    assert not differing(before, seen(folder.path), exact=True)


def goes_and_comes_back(folder: Folder, model: Path) -> None:
    """To the byte, and with nothing of the user's lent or lost."""
    workspace = Workspace(folder.path)
    before = seen(folder.path)
    workspace.load(model)
    assert folder.read("train.py").replace(b"\r\n", b"\n") == b"print('loaded')\n"
    assert folder.read("both.py") == b"loaded"
    folder.write("train.py", "edited after the load")
    loaded = seen(folder.path)
    folder.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    folder.git("-c", f"core.hooksPath={os.devnull}", "gc", "-q", "--prune=now")
    workspace.undo()
    assert not differing(before, seen(folder.path), exact=True)
    folder.git("fsck", "--connectivity-only")
    workspace.redo()
    assert not differing(loaded, seen(folder.path), exact=False)
    workspace.undo()
    assert not differing(before, seen(folder.path), exact=True)
    assert not leftovers(folder.path)
