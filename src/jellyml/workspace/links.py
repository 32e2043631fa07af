"""Refuse symbolic links inside the git directory.

A folder unpacked from an archive may contain a ``.git`` with links that redirect what JellyML
writes, moves and removes. Idea: check every path that an operation writes before it begins.
Invariant: no operation starts if one of these paths is a link.
"""

import os
from collections.abc import Container, Iterator
from pathlib import Path

from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.repo import worktrees
from jellyml.repo.repository import Repository
from jellyml.workspace.state import OPERATION

# What git and JellyML write during a load or an undo (gitrepository-layout(5)).
_SHARED = (
    "objects", "objects/pack", "objects/info", "refs", "refs/heads", "logs", "logs/refs",
    "logs/refs/heads", "worktrees",
)  # fmt: skip
_REFS = ("refs/jellyml", "logs/refs/jellyml")
_BRANCHES = ("refs/heads", "logs/refs/heads")
_OWN = ("logs", "logs/HEAD")
# Folders with files of the user, which may include links.
_OF_THE_USER = {"stage", "trash", "fresh", "rescue", "aside"}


def refuse_links(repository: Repository) -> None:
    """Raise UnsafeToContinue, with nothing changed, if a path that is written is a link."""
    for place in _links(repository):
        raise UnsafeToContinue(
            f"{place} is {_kind(place)}, and JellyML writes to files and folders only in a git"
            " directory. Nothing was changed.",
            f"look what it is, then put a file or folder in its place: ls -l {pasteable(place)}",
        )


def is_plain(repository: Repository) -> bool:
    """Return False if JellyML's folder for this worktree is reached through a link."""
    base, own = worktrees.base_of(repository), worktrees.folder_of(repository)
    return not any(one.is_symlink() for one in (own, *own.parents) if one.is_relative_to(base))


def _kind(place: Path) -> str:
    return "a symbolic link" if place.is_symlink() else "neither a file nor a folder"


def _links(repository: Repository) -> Iterator[Path]:
    parts = [repository.common_dir / name for name in _SHARED]
    parts += [repository.git_dir / name for name in _OWN]
    parts += (repository.common_dir / "worktrees").glob("*")
    for name in _BRANCHES:
        parts += (repository.common_dir / name).glob("jellyml-*")
    for name in _REFS:
        place = repository.common_dir / name
        yield from [place] if place.is_symlink() else _below(place)
    base = worktrees.base_of(repository)
    yield from (one for one in (*parts, base, worktrees.removed_of(repository)) if one.is_symlink())
    own = {os.fspath(one) for one in (base / "main", *(base / "worktrees").glob("*"))}
    yield from _below(base, own)
    for name in OPERATION:
        place = repository.git_dir / name
        yield from [place] if place.is_symlink() else _below(place)


def _is_plain(entry: "os.DirEntry[str]") -> bool:
    """Return False for a link, pipe, socket or device: opening one may block for ever."""
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)


def _below(folder: Path, worktrees: Container[str] = ()) -> Iterator[Path]:
    """Yield the links below a folder. In ``worktrees`` folders, the user's files are skipped."""
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield from (Path(entry.path) for entry in entries if not _is_plain(entry))
        below = {entry.name: entry.path for entry in entries if entry.is_dir(follow_symlinks=False)}
        if here in worktrees:
            # Set-aside files are in one folder per operation, which must not be a link.
            aside = os.scandir(below["aside"]) if "aside" in below else ()
            yield from (Path(one.path) for one in aside if one.is_symlink())
            below = {name: path for name, path in below.items() if name not in _OF_THE_USER}
        waiting += below.values()
