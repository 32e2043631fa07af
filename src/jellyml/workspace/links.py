"""Parts of a git directory that are symbolic links: JellyML writes through none of them.

A folder that was unpacked from an archive brings its ``.git`` along. A link in it would lead what
JellyML writes, moves and removes there to wherever the one who made the archive wanted.
"""

import os
from collections.abc import Iterator
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
    yield from _below(base)
    for name in OPERATION:
        place = repository.git_dir / name
        yield from [place] if place.is_symlink() else _below(place)


def _below(folder: Path) -> Iterator[Path]:
    """Links in JellyML's own folders, and none of those that it holds for the user."""
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield from (Path(entry.path) for entry in entries if entry.is_symlink())
        below = {entry.name: entry.path for entry in entries if entry.is_dir(follow_symlinks=False)}
        if "ops" in below:  # the folder of a worktree
            for name in _OF_THE_USER & below.keys():
                place = below.pop(name)
                # Of what is set aside each operation has a folder: links may be in that.
                yield from (
                    Path(one.path)
                    for one in os.scandir(place)
                    if one.is_symlink() and name == "aside"
                )
        waiting += below.values()
