"""Whether a working tree and the repository that git finds for it belong together.

A folder that came from somebody else can hold a ``.git`` that leads to the user's own
repository, a configuration whose ``core.worktree`` names the user's home, or a folder that git
takes for a bare repository. JellyML works where the ``.git`` of the working tree leads to the
repository, and the repository, where it can, leads back.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from jellyml.errors import ForeignRepository, pasteable
from jellyml.files import resolved

_GIT_DIRECTORY = ("HEAD", "objects", "refs")  # what git requires of one (setup.c)


def check_git_file(folder: Path) -> None:
    """Raise ForeignRepository where the nearest ``.git`` leads to another folder's repository.

    Before git is started: git would note the new place in a linked worktree's own files.
    """
    for root in _upwards(folder):
        own = root / ".git"
        git_dir = _target(own)
        if git_dir is None or not looks_like_git(_common(git_dir)):
            continue  # git looks further, or says itself what is wrong
        if not _belongs(git_dir, own):
            raise ForeignRepository(
                f"{own} leads to {git_dir}, which is another folder's repository.",
                "go to that folder; if this is a worktree that was moved:"
                f" git worktree repair {pasteable(root)}",
            )
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
    if _target(root / ".git") != git_dir:
        raise ForeignRepository(
            f"{root} is the working tree of {git_dir} by its core.worktree only; it has no .git"
            " that leads there.",
            "go to the folder of the project itself.",
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
    with suppress(OSError):
        if own.is_dir():
            return own.resolve()
        word, _, path = own.read_bytes().removesuffix(b"\n").partition(b" ")
        if word == b"gitdir:":
            return (own.parent / os.fsdecode(path)).resolve()
    return None


def _common(git_dir: Path) -> Path:
    """The directory that a linked worktree shares with the others; itself for any other."""
    with suppress(OSError):
        return git_dir / os.fsdecode((git_dir / "commondir").read_bytes().removesuffix(b"\n"))
    return git_dir


def _belongs(git_dir: Path, own: Path) -> bool:
    """Whether a git directory is that of the folder in which ``own`` is.

    One named ``.git`` is its own folder's, unless its core.worktree names another. A linked
    worktree's names the ``.git`` file that leads to it (gitrepository-layout(5)).
    """
    if (git_dir / "commondir").exists():
        with suppress(OSError):
            named = os.fsdecode((git_dir / "gitdir").read_bytes().removesuffix(b"\n"))
            return (git_dir / named).resolve() == own.resolve()
        return False
    return git_dir.name != ".git" or git_dir.parent == own.parent
