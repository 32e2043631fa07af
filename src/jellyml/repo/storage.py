"""The folders in which git stores a repository, as paths of the working tree.

They may be inside the working tree under any name: ``git init --separate-git-dir``, a ``.git``
that is a link, the bare repository of a worktree, or ``objects/info/alternates``. Idea: follow
each path step by step. Invariant: every link on the way is listed too, so none of them moves.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from jellyml.fs.atomic import read_plain
from jellyml.fs.paths import resolved
from jellyml.repo.alternates import object_stores
from jellyml.repo.paths import parents
from jellyml.repo.repository import Repository
from jellyml.repo.work_tree import looks_like_git

_MOST_LINKS = 40  # as many as Linux follows
_LONGEST = 1 << 20  # bytes of a file that names paths


class Storage:
    """Paths of git's storage in a working tree; a folder includes everything below it."""

    def __init__(self, paths: Iterable[bytes] = ()) -> None:
        self.paths = frozenset(paths)
        self._above = {parent for path in self.paths for parent in parents(path)}

    def __bool__(self) -> bool:
        return bool(self.paths)

    def holds(self, path: bytes) -> bool:
        """Return whether a path is git's storage, or inside it."""
        path = path.rstrip(b"/")
        return path in self.paths or not self.paths.isdisjoint(parents(path))

    def touches(self, path: bytes) -> bool:
        """Return whether replacing a path would move git's storage."""
        return bool(self.paths) and (path.rstrip(b"/") in self._above or self.holds(path))


def storage_inside(
    root: Path, repositories: Iterable[Repository], dot_gits: Iterable[Path] = ()
) -> Storage:
    """Return the storage of some repositories in a working tree, except what is in a ``.git``.

    Git and JellyML leave every ``.git`` alone without it. ``dot_gits`` are files and links of
    that name which belong to other repositories.
    """
    top = resolved(root)
    places = {place for one in repositories for place in _places(one)}
    places |= {place for own in dot_gits for place in _git_directory(own)}
    inside = (place.relative_to(top) for place in places if top in place.parents)
    return Storage(os.fsencode(path.as_posix()) for path in inside if ".git" not in path.parts)


def _git_directory(own: Path) -> Iterator[Path]:
    """Yield the git directory to which a ``.git`` leads, and each link on the way."""
    yield from _steps(own)
    with suppress(OSError, ValueError):
        word, _, path = _lines(own)[0].partition(b" ")
        if word == b"gitdir:":
            yield from _steps(own.parent / os.fsdecode(path))


def _places(repository: Repository) -> Iterator[Path]:
    yield from _git_directory(repository.root / ".git")
    with suppress(OSError, ValueError):
        shared = _lines(repository.git_dir / "commondir")[0]
        yield from _steps(repository.git_dir / os.fsdecode(shared))
    yield from (repository.git_dir, repository.common_dir)
    yield from _object_stores(repository.objects)


def _object_stores(objects: Path) -> Iterator[Path]:
    """Yield an object store and its alternates, each with the bare repository around it."""
    for store in object_stores(objects):
        for place in (*_steps(store), *_steps(store / "pack")):
            yield place
            if looks_like_git(place.parent):
                yield place.parent


def _lines(path: Path) -> list[bytes]:
    return read_plain(path, _LONGEST).splitlines() or [b""]


def _steps(path: Path) -> Iterator[Path]:
    """Yield each link on the way to a path, and the place to which the path leads."""
    waiting = list(reversed(path.absolute().parts))
    place, links = Path(waiting.pop()), 0
    while waiting:
        name = waiting.pop()
        if name == os.pardir:
            place = place.parent
            continue
        if not (place / name).is_symlink():
            place /= name
            continue
        yield place / name
        links += 1
        if links > _MOST_LINKS:
            return
        target = place / (place / name).readlink()
        waiting += reversed(target.parts[1:])
        place = Path(target.anchor)
    yield place
