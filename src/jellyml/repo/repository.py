"""Where git will hardly fail to find a repository: its first answer then says whether it did."""

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from jellyml.code.repository import Repository

_OWN_CONFIG = "file:.git/config"
_GIT_DIRECTORY = {"HEAD", "objects", "refs"}


class WrongGuess(Exception):
    """Git does not find the repository where it was guessed to be."""


def guess(folder: Path, deadline: float | None = None) -> Repository | None:
    """The repository of ``folder`` in the plainest case, None in others; not yet confirmed.

    Only where git will read the index as it lies: what has to be read from a copy is named to
    git, which then does not ask whose it is.
    """
    if "GIT_CEILING_DIRECTORIES" in os.environ:
        return None
    inside = folder.resolve()
    try:
        device = inside.stat().st_dev
        for root in (inside, *inside.parents):
            own = root / ".git"
            if os.path.lexists(own):
                plain = not own.is_symlink() and _is_plain(own) and own not in inside.parents
                return Repository(root, own, own, "", deadline, guessed=True) if plain else None
            # Git looks no further than its file system, or a git directory without a folder.
            if root.stat().st_dev != device or (root / "HEAD").exists():
                return None
    except OSError:
        pass
    return None


def _is_plain(own: Path) -> bool:
    with os.scandir(own) as entries:
        names = {entry.name for entry in entries}
    shared = any(name.startswith("sharedindex.") for name in names)
    sparse = (own / "info" / "sparse-checkout").exists()
    return names >= _GIT_DIRECTORY and "commondir" not in names and not shared and not sparse


def confirmed(place: Repository, origins: Collection[str], config: Mapping[str, str]) -> Repository:
    """The repository once git, asked in its root, has read the configuration that lies there.

    It names that file from its own folder only where it has found the repository in it.
    Raises WrongGuess where it has not.
    """
    if not place.guessed:
        return place
    if _OWN_CONFIG not in origins or "core.worktree" in config:
        raise WrongGuess
    object_format = config.get("extensions.objectformat", "sha1")
    return replace(place, object_format=object_format, guessed=False)
