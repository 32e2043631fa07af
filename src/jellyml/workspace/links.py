"""Parts of a git directory that are symbolic links: JellyML writes through none of them.

A folder that was unpacked from an archive brings its ``.git`` along. A link in it would lead what
JellyML writes, moves and removes there to wherever the one who made the archive wanted.
"""

import os
from collections.abc import Container, Iterator
from pathlib import Path

from jellyml.code import identity
from jellyml.code.repository import Repository
from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.workspace.state import OPERATION

# What git and JellyML write to during a load or an undo (gitrepository-layout(5)).
_SHARED = (
    "objects", "objects/pack", "objects/info", "refs", "refs/heads", "refs/jellyml",
    "refs/jellyml/keep", "logs", "logs/refs", "logs/refs/heads", "logs/refs/jellyml",
    "logs/refs/jellyml/keep", "worktrees",
)  # fmt: skip
_OWN = ("logs", "logs/HEAD")
# The user's own things are in these, links among them.
_OF_THE_USER = {"stage", "trash", "fresh", "rescue", "aside"}


def refuse_links(repository: Repository) -> None:
    """Raise UnsafeToContinue, with nothing changed, where a part that is written to is a link."""
    for place in _links(repository):
        raise UnsafeToContinue(
            f"{place} is a symbolic link, and JellyML writes through none in a git directory."
            " Nothing was changed.",
            f"look where it leads, then put the real file or folder in its place:"
            f" ls -l {pasteable(place)}",
        )


def is_plain(repository: Repository) -> bool:
    """False where JellyML's own folder for this worktree is reached through a link."""
    base, own = identity.base_of(repository), identity.folder_of(repository)
    return not any(one.is_symlink() for one in (own, *own.parents) if one.is_relative_to(base))


def _links(repository: Repository) -> Iterator[Path]:
    parts = [repository.common_dir / name for name in _SHARED]
    parts += [repository.git_dir / name for name in _OWN]
    base = identity.base_of(repository)
    yield from (one for one in (*parts, base, identity.removed_of(repository)) if one.is_symlink())
    own = {os.fspath(one) for one in (base / "main", *(base / "worktrees").glob("*"))}
    yield from _below(base, own)
    for name in OPERATION:
        place = repository.git_dir / name
        yield from [place] if place.is_symlink() else _below(place)


def _below(folder: Path, worktrees: Container[str] = ()) -> Iterator[Path]:
    """Links below a folder; of the folders of ``worktrees`` none of what they hold for the user."""
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield from (Path(entry.path) for entry in entries if entry.is_symlink())
        below = {entry.name: entry.path for entry in entries if entry.is_dir(follow_symlinks=False)}
        if here in worktrees:
            # What is set aside is in a folder for each operation, and that is no link.
            aside = os.scandir(below["aside"]) if "aside" in below else ()
            yield from (Path(one.path) for one in aside if one.is_symlink())
            below = {name: path for name, path in below.items() if name not in _OF_THE_USER}
        waiting += below.values()
