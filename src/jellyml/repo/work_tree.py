"""Check that a working tree and the repository that git finds for it belong together.

An untrusted folder may contain a ``.git`` that points to the user's repository, a
``core.worktree`` that names the user's home, or a folder that git takes for a bare repository.
Invariant: the ``.git`` of the working tree points to the repository, and the repository, if it
records a working tree, points back. Before a repository is changed, it must point back.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.errors import ForeignRepository, pasteable
from jellyml.fs.atomic import read_plain
from jellyml.fs.paths import resolved

if TYPE_CHECKING:
    from jellyml.repo.git import Git

_LONGEST = 1 << 16  # maximum bytes of a file that names a path
_GIT_DIRECTORY = ("HEAD", "objects", "refs")  # what git requires (setup.c)


def check_work_tree(root: Path, git_dir: Path, folder: Path, git: "Git") -> None:
    """Raise ForeignRepository unless ``root`` contains ``folder`` and a ``.git`` for ``git_dir``.

    A folder that only looks like a bare repository has no such ``.git``, and ``core.worktree`` can
    name any folder. ``git`` runs in ``folder``.
    """
    if not folder.resolve().is_relative_to(root.resolve()):
        raise ForeignRepository(
            f"The repository of {folder} has its working tree elsewhere: its core.worktree is"
            f" {root}.",
            "git config --unset core.worktree, or make a worktree: git worktree add",
        )
    own = root / ".git"
    if _target(own) != git_dir:
        raise ForeignRepository(
            f"{root} is the working tree of {git_dir} by its core.worktree only; it has no .git"
            " that leads there.",
            "go to the folder of the project itself.",
        )
    if _belongs_elsewhere(root, git_dir, git):
        moved = f"git worktree repair {pasteable(root)}"
        raise ForeignRepository(
            f"{own} leads to {git_dir}, which is another folder's repository.",
            "go to that folder; if it is this folder's and was moved: "
            + (moved if _is_linked(git_dir) else _record(root, git_dir)),
        )


def check_points_back(root: Path, git_dir: Path, git: "Git") -> None:
    """Raise ForeignRepository unless the git directory shows that ``root`` is its working tree.

    Checked before a git directory is changed, because any ``.git`` file can name it. A directory
    made by ``git init --separate-git-dir`` does not record its working tree: the user has to.
    """
    is_inside = git_dir.is_relative_to(resolved(root))
    if is_inside or _is_linked(git_dir) or _recorded_work_tree(git_dir, git) == resolved(root):
        return
    raise ForeignRepository(
        f"{root / '.git'} leads to {git_dir}, which does not record that {root} is its working"
        " tree. Nothing was changed.",
        f"if both are yours: {_record(root, git_dir)}",
    )


def in_git_directory(folder: Path) -> bool:
    """Return whether a folder is inside a git directory or bare repository, or has a ``.git``.

    Code written there could become a hook.
    """
    return os.path.lexists(folder / ".git") or any(map(looks_like_git, _upwards(folder)))


def looks_like_git(folder: Path) -> bool:
    """Return whether git would take a folder for a git directory."""
    return all(os.path.lexists(folder / name) for name in _GIT_DIRECTORY)


def embedded(root: Path, paths: Iterable[bytes]) -> list[str]:
    """Return the folders above some paths that git would take for git directories."""
    above: set[bytes] = set()
    for path in paths:
        while (path := path.rpartition(b"/")[0]) and path not in above:
            above.add(path)
    names = map(os.fsdecode, above)
    return sorted(name for name in names if looks_like_git(root / name))


def _upwards(folder: Path) -> Iterator[Path]:
    try:
        folder = resolved(folder)
    except OSError:
        return
    yield from (folder, *folder.parents)


def _target(own: Path) -> Path | None:
    """Return the git directory that a ``.git`` is or points to, links resolved; else None."""
    with suppress(OSError, ValueError):  # missing file, link loop, or a name with a NUL
        if own.is_dir():
            return resolved(own)
        word, _, path = _line(resolved(own)).partition(b" ")
        if word == b"gitdir:":
            return resolved(own.parent / os.fsdecode(path))
    return None


def _line(path: Path) -> bytes:
    return read_plain(path, _LONGEST).rstrip(b"\r\n")


def _common(git_dir: Path) -> Path:
    """Return the directory that linked worktrees share; the directory itself for any other."""
    with suppress(OSError, ValueError):
        return resolved(git_dir / os.fsdecode(_line(git_dir / "commondir")))
    return git_dir


def _record(root: Path, git_dir: Path) -> str:
    """Return the command that records a working tree in its git directory."""
    return f"git --git-dir={pasteable(git_dir)} config core.worktree {pasteable(resolved(root))}"


def _is_linked(git_dir: Path) -> bool:
    """Return whether a git directory is that of a linked worktree (gitrepository-layout(5))."""
    return os.path.lexists(git_dir / "commondir")


def _belongs_elsewhere(root: Path, git_dir: Path, git: "Git") -> bool:
    """Return whether a git directory shows that it belongs to another folder than ``root``.

    A linked worktree's directory names the ``.git`` file that points to it. A directory named
    ``.git`` belongs to its parent, unless its core.worktree names another folder.
    """
    own = root / ".git"
    if _is_linked(git_dir):
        if git_dir.parent != _common(git_dir) / "worktrees":
            return True
        with suppress(OSError, ValueError):
            return resolved(git_dir / os.fsdecode(_line(git_dir / "gitdir"))) != resolved(own)
        return True
    if git_dir.name != ".git" or git_dir.parent == own.parent:
        return False
    return _recorded_work_tree(git_dir, git) != resolved(root)


def _recorded_work_tree(git_dir: Path, git: "Git") -> Path | None:
    """Return the core.worktree of the repository's own configuration, links resolved.

    The user's global configuration is ignored: it says nothing about one repository.
    """
    answer = git.run("config", "-z", "--show-scope", "--get-all", "core.worktree", accept=(0, 1))
    fields = answer.split(b"\0")[:-1]
    values = [
        value
        for scope, value in zip(fields[::2], fields[1::2], strict=True)
        if scope in (b"local", b"worktree")
    ]
    with suppress(OSError, ValueError):
        return resolved(git_dir / os.fsdecode(values[-1])) if values else None
    return None
