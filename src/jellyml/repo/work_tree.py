"""Whether a working tree and the repository that git finds for it belong together.

A folder that came from somebody else can hold a ``.git`` that leads to the user's own
repository, a configuration whose ``core.worktree`` names the user's home, or a folder that git
takes for a bare repository. JellyML works where the ``.git`` of the working tree leads to the
repository, and the repository, where it can, leads back.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from jellyml.errors import ForeignRepository, pasteable
from jellyml.fs.atomic import read_plain
from jellyml.fs.paths import resolved

_OBJECT_ID = re.compile(rb"[0-9a-f]{40}")
_LONGEST = 1 << 16  # bytes in a file that names a path
_GIT_DIRECTORY = ("HEAD", "objects", "refs")  # what git requires of one (setup.c)


def check_git_file(folder: Path) -> None:
    """Raise ForeignRepository where the nearest ``.git`` leads to another folder's repository.

    Before git is started: git would note the new place in a linked worktree's own files. Which of
    several git will take is not known yet, so ``check_work_tree`` looks at that one again.
    """
    for root in _upwards(folder):
        own = root / ".git"
        git_dir = _target(own)
        if git_dir and not _belongs(git_dir, own):
            raise _foreign(own, git_dir)
        if git_dir and _is_taken(git_dir):
            return


def check_work_tree(root: Path, git_dir: Path, folder: Path) -> None:
    """Raise ForeignRepository unless ``root`` holds ``folder`` and has a ``.git`` to ``git_dir``.

    A folder that only looks like a bare repository has no such ``.git``; ``core.worktree`` can
    name any folder.
    """
    if not folder.resolve().is_relative_to(root.resolve()):
        raise ForeignRepository(
            f"The repository of {folder} has its working tree elsewhere: its core.worktree is"
            f" {root}.",
            "git config --unset core.worktree, or make a worktree: git worktree add",
        )
    own = root / ".git"
    if _target(own) == git_dir and not _belongs(git_dir, own):
        raise _foreign(own, git_dir)
    if _target(own) != git_dir:
        raise ForeignRepository(
            f"{root} is the working tree of {git_dir} by its core.worktree only; it has no .git"
            " that leads there.",
            "go to the folder of the project itself.",
        )


def _foreign(own: Path, git_dir: Path) -> ForeignRepository:
    return ForeignRepository(
        f"{own} leads to {git_dir}, which is another folder's repository.",
        "go to that folder; if this is a worktree that was moved:"
        f" git worktree repair {pasteable(own.parent)}",
    )


def in_git_directory(folder: Path) -> bool:
    """True in a ``.git``, a bare repository or what looks like one, and over a broken ``.git``.

    Code that is put there could become a hook.
    """
    return os.path.lexists(folder / ".git") or any(map(looks_like_git, _upwards(folder)))


def looks_like_git(folder: Path) -> bool:
    """True for a folder that git would take for a git directory."""
    return all(os.path.lexists(folder / name) for name in _GIT_DIRECTORY)


def embedded(root: Path, paths: Iterable[bytes]) -> list[str]:
    """The folders above some paths, from the root, that git would take for git directories."""
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
    """The git directory that a ``.git`` is or leads to, links resolved; None for none."""
    with suppress(OSError, ValueError):  # no file, a link loop, a name with a NUL
        if own.is_dir():
            return resolved(own)
        word, _, path = _line(resolved(own)).partition(b" ")
        if word == b"gitdir:":
            return resolved(own.parent / os.fsdecode(path))
    return None


def _line(path: Path) -> bytes:
    return read_plain(path, _LONGEST).rstrip(b"\r\n")


def _is_taken(git_dir: Path) -> bool:
    """Whether git looks no further, as in is_git_directory() of its setup.c."""
    head = git_dir / "HEAD"
    with suppress(OSError):
        text = os.fsencode(head.readlink()) if head.is_symlink() else _line(head)
        name = text.removeprefix(b"ref:").lstrip()
        if name.startswith(b"refs/") or _OBJECT_ID.match(text):
            common = _common(git_dir)
            return all(os.access(common / one, os.X_OK) for one in ("objects", "refs"))
    return False


def _common(git_dir: Path) -> Path:
    """The directory that a linked worktree shares with the others; itself for any other."""
    with suppress(OSError, ValueError):
        return resolved(git_dir / os.fsdecode(_line(git_dir / "commondir")))
    return git_dir


def _belongs(git_dir: Path, own: Path) -> bool:
    """Whether a git directory is that of the folder in which ``own`` is.

    One named ``.git`` is its own folder's, unless its core.worktree names another. A linked
    worktree's names the ``.git`` file that leads to it (gitrepository-layout(5)).
    """
    if os.path.lexists(git_dir / "commondir"):
        if git_dir.parent != _common(git_dir) / "worktrees":
            return False
        with suppress(OSError, ValueError):
            return resolved(git_dir / os.fsdecode(_line(git_dir / "gitdir"))) == resolved(own)
        return False
    return git_dir.name != ".git" or git_dir.parent == own.parent
