"""A folder without a sidecar: search its files, the likeliest first, and never without end."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from jellyml.errors import JellyError, NoSnapshot
from jellyml.formats import compressed, unknown
from jellyml.formats.record import size_of
from jellyml.formats.registry import format_of
from jellyml.formats.signatures import is_named_as_weights
from jellyml.fs.paths import natural_key
from jellyml.snapshot.serialization import NewerSnapshot

_DEEPEST = 3  # folders below the one that was named
_MOST = 1_000  # files
_MOST_LISTED = 20_000  # of one folder
_READ_FREELY = 16 << 20  # of a file, in bytes

T = TypeVar("T")


def find_in_folder(
    folder: Path, sidecar: str, open_: Callable[[Path], T], same: Callable[[T, T], bool]
) -> T:
    """The first of its files that carries a snapshot, as ``open_`` gives it.

    A folder below it with a ``sidecar`` stands for all that is in it. Raises NoSnapshot where
    there is none, and where two are not the ``same``; else what was wrong with the first.
    """
    found: tuple[Path, T] | None = None
    wrong: JellyError | None = None
    paths, more = _parts(folder, sidecar)
    for path in paths:
        try:
            one = open_(path) if _is_worth_it(path, alone=not found) else None
        except NewerSnapshot:
            raise
        except JellyError as problem:
            one = None
            if not isinstance(problem, NoSnapshot):
                wrong = wrong or problem.with_traceback(None)
        if one and found and not same(found[1], one):
            raise _several(folder, found[0], path)
        if one and not found:
            found = path, one
    if found:
        return found[1]
    raise wrong or _none(folder, len(paths), more)


def candidate_files(folder: Path, sidecar: str) -> Iterator[Path]:
    """The files, and folders with a ``sidecar``, that are worth a search, in its order."""
    return (path for path in _parts(folder, sidecar)[0] if _is_worth_it(path, alone=True))


def _several(folder: Path, one: Path, other: Path) -> NoSnapshot:
    return NoSnapshot(
        f"The folder {folder} is not one checkpoint: {one.relative_to(folder)} and "
        f"{other.relative_to(folder)} carry different code.",
        "name one of them.",
    )


def _none(folder: Path, count: int, more: bool) -> NoSnapshot:
    searched = f"the first {count} files" if more else "its files"
    return NoSnapshot(
        f"The folder {folder} carries no JellyML snapshot; {searched} were searched.",
        "name a file in it, or put a snapshot in when saving; jellyml fill puts one in later.",
    )


def _is_worth_it(path: Path, *, alone: bool) -> bool:
    """Whether to search this file, ``alone`` while nothing has been found yet.

    A large one that has to be read to its end is only then, and if weights go by its name.
    """
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            kind = format_of(file)
            if kind.records is not unknown.records or size_of(file) <= _READ_FREELY:
                return True
    except OSError:
        return True  # opening it will tell what is wrong
    return alone and (kind not in (unknown, compressed) or is_named_as_weights(path.name))


def _parts(folder: Path, sidecar: str) -> tuple[list[Path], bool]:
    """In the order in which to search them, and whether there are more.

    Links to files are followed, as model caches hold nothing else; links to folders are not.
    What is hidden is passed over. Raises OSError where the folder cannot be listed.
    """
    found: list[tuple[bool, int, Path]] = []
    level, more = [folder], False
    for depth in range(_DEEPEST + 1):
        below: list[Path] = []
        for place in level:
            files, folders, complete = _listed(place, needed=depth == 0)
            more |= not complete
            if any(each.name == sidecar for each in files):
                found.append((False, depth, place))
                continue
            found += ((not is_named_as_weights(each.name), depth, each) for each in files)
            below += folders
        level = below if len(found) < _MOST else []
        more |= bool(below) and (depth == _DEEPEST or not level)
    found.sort(key=lambda row: (*row[:2], natural_key(row[2])))
    return [path for *_, path in found[:_MOST]], more or len(found) > _MOST


def _listed(folder: Path, *, needed: bool) -> tuple[list[Path], list[Path], bool]:
    """The files and the folders in it, and whether that is all of them."""
    files, folders = list[Path](), list[Path]()
    seen = 0
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_LISTED):
                seen += 1
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif _is_file(entry):
                    files.append(Path(entry.path))
    except OSError:
        if needed:
            raise
        return files, folders, False
    return files, sorted(folders, key=natural_key), seen < _MOST_LISTED


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False
