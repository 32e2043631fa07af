"""Search the files of a folder without a sidecar, the most likely first, within limits."""

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

_DEEPEST = 3  # levels of folders below the given one
_MOST = 1_000  # files
_MOST_LISTED = 20_000  # of one folder
_READ_FREELY = 16 << 20  # of a file, in bytes

T = TypeVar("T")


def find_in_folder(
    folder: Path, sidecar: str, open_: Callable[[Path], T], same: Callable[[T, T], bool]
) -> T:
    """Return what ``open_`` returns for the first file with a snapshot.

    A subfolder with a ``sidecar`` counts as one file. Raises NoSnapshot without a snapshot and if
    two files are not the ``same``; else the first error.
    """
    first: tuple[Path, T] | None = None
    error: JellyError | None = None
    paths, more = _parts(folder, sidecar)
    for path in paths:
        try:
            one = open_(path) if _is_worth_it(path, alone=not first) else None
        except NewerSnapshot:
            raise
        except JellyError as problem:
            one = None
            if not isinstance(problem, NoSnapshot):
                error = error or problem.with_traceback(None)
        if one and first and not same(first[1], one):
            raise _several(folder, first[0], path)
        if one and not first:
            first = path, one
    if first:
        return first[1]
    raise error or _none(folder, len(paths), more)


def candidate_files(folder: Path, sidecar: str) -> Iterator[Path]:
    """Yield the files, and the folders with a ``sidecar``, in the order of the search."""
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
    """Return whether to search this file. ``alone`` if no snapshot has been found yet.

    A large file without a known structure is searched only if it is named as weights and alone.
    """
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            kind = format_of(file)
            if kind.records is not unknown.records or size_of(file) <= _READ_FREELY:
                return True
    except OSError:
        return True  # the caller opens it and raises the error
    return alone and (kind not in (unknown, compressed) or is_named_as_weights(path.name))


def _parts(folder: Path, sidecar: str) -> tuple[list[Path], bool]:
    """Return the files in the order of the search, and whether there are more.

    Links to files are followed, since model caches consist of them; links to folders are not.
    Hidden files are skipped. Raises OSError if the folder cannot be listed.
    """
    rows: list[tuple[bool, int, Path]] = []
    level, more = [folder], False
    for depth in range(_DEEPEST + 1):
        below: list[Path] = []
        for parent in level:
            files, folders, complete = _list_folder(parent, needed=depth == 0)
            more |= not complete
            if any(each.name == sidecar for each in files):
                rows.append((False, depth, parent))
                continue
            rows += ((not is_named_as_weights(each.name), depth, each) for each in files)
            below += folders
        level = below if len(rows) < _MOST else []
        more |= bool(below) and (depth == _DEEPEST or not level)
    rows.sort(key=lambda row: (*row[:2], natural_key(row[2])))
    return [path for *_, path in rows[:_MOST]], more or len(rows) > _MOST


def _list_folder(folder: Path, *, needed: bool) -> tuple[list[Path], list[Path], bool]:
    """Return the files and the folders in it, and whether that is all of them."""
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
    except OSError:  # a link loop
        return False
