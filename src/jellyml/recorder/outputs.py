"""Find the checkpoints that a run wrote, by files that are new or changed since its start."""

import os
import re
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from jellyml.checkpoint.checkpoint import MANIFEST_COMING
from jellyml.formats import compressed, signatures, unknown
from jellyml.formats.registry import format_of
from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR

#: Device, inode, time of the last change in ns, size. Moving a file does not change them.
Mark: TypeAlias = tuple[int, int, int, int]

MOST = 200_000  # files; the walk is breadth-first, so the deepest are left out
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}
_ENVIRONMENT = "pyvenv.cfg"  # at the top of every virtual environment

_OURS = (SIDECAR, MANIFEST_SIDECAR, MANIFEST_COMING)
_LARGE = 1_000_000  # bytes, as in the limits of a capture
_TYPICAL_NAME = re.compile(
    r"model|check_?point|ckpt|weight|epoch|step|best|last|final|estimator|classifier",
    re.IGNORECASE,
)
# A file named by the digest of its content is in a cache, which a changed file would break: those
# of Hugging Face, DVC, Weights & Biases.
_DIGEST = re.compile(r"[0-9a-f]{30,128}")
# Hugging Face's hub records here what it downloaded into a folder; the run did not make that.
_FETCHED = Path(".cache", "huggingface", "download")
_MOST_ABOVE = 4  # parent folders that are searched for these records


@dataclass(slots=True)
class Scan:
    """The files below some folders, without hidden ones and environments."""

    files: dict[str, Mark] = field(default_factory=dict)
    whole: bool = True  # False if there are more than ``MOST``

    def marks(self) -> frozenset[Mark]:
        return frozenset(self.files.values())

    def written_since(self, before: Set[Mark]) -> dict[Path, Mark]:
        return {Path(path): mark for path, mark in self.files.items() if mark not in before}


def look(folders: Iterable[Path], most: int = MOST) -> Scan:
    """Return the files below these folders. Unreadable ones are skipped.

    Links to folders are followed, since checkpoints are often on another disk. Links to files are
    not.
    """
    files = Scan()
    queue = deque(folders)
    visited: set[tuple[int, int]] = set()
    while queue:
        folder = queue.popleft()
        try:
            here = folder.stat()
            if (here.st_dev, here.st_ino) in visited:
                continue
            visited.add((here.st_dev, here.st_ino))
            entries = list(os.scandir(folder))
        except OSError:
            continue
        if any(entry.name == _ENVIRONMENT for entry in entries):
            continue
        queue.extend(_folders(entries))
        for path, mark in _files(entries):
            if len(files.files) == most:
                files.whole = False
                return files
            files.files[path] = mark
    return files


def mark_of(path: Path) -> Mark | None:
    """Return the mark of a file, None if it is gone or not a regular file."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return _mark(status) if stat.S_ISREG(status.st_mode) else None


def _folders(entries: "Iterable[os.DirEntry[str]]") -> Iterator[Path]:
    for entry in entries:
        if not entry.name.startswith(".") and entry.name not in _SKIPPED:
            try:
                if entry.is_dir():
                    yield Path(entry.path)
            except OSError:
                continue


def _files(entries: "Iterable[os.DirEntry[str]]") -> Iterator[tuple[str, Mark]]:
    for entry in entries:
        try:
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                # Not DirEntry.stat(): on Windows it has no inode.
                yield entry.path, _mark(os.lstat(entry.path))
        except OSError:
            continue


def _mark(status: os.stat_result) -> Mark:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


@dataclass(frozen=True, slots=True)
class WrittenCheckpoint:
    """A file or folder to fill. ``size`` is that of the written files, in bytes."""

    path: Path
    size: int
    folder: bool = False


@dataclass(frozen=True, slots=True)
class PossibleData:
    """A file that may be data: it is reported, not filled."""

    path: Path


def find_checkpoints(written: Iterable[Path]) -> Iterator[WrittenCheckpoint | PossibleData]:
    """Yield the checkpoints among the files that a run wrote, not sorted by size."""
    by_folder: dict[Path, list[Path]] = {}
    for path in written:
        by_folder.setdefault(path.parent, []).append(path)
    for folder, paths in by_folder.items():
        new = [path for path in paths if path.name not in _OURS and not _is_fetched(path)]
        if new and _is_whole(folder):
            yield WrittenCheckpoint(folder, sum(map(_size, new)), folder=True)
        else:
            for path in new:
                if output := _classify(path):
                    yield output


def _is_fetched(path: Path) -> bool:
    """Return whether a file was downloaded rather than written by the run."""
    if _DIGEST.fullmatch(path.name):
        return True
    records = (
        above / _FETCHED / path.relative_to(above).with_name(f"{path.name}.metadata")
        for above in path.parents[:_MOST_ABOVE]
    )
    return any(each.exists() for each in records)


def _is_whole(folder: Path) -> bool:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names are enough)
    except OSError:
        return False
    if ".git" in names:  # a repository gets no sidecar
        return False
    return any(map(signatures.is_folder_mark, names))


def _classify(path: Path) -> WrittenCheckpoint | PossibleData | None:
    if signatures.is_companion(path.name):
        return None
    try:
        with path.open("rb", buffering=0) as file:
            form = format_of(file)
    except OSError:  # deleted meanwhile
        return None
    size = _size(path)
    if form is unknown or form is compressed or not size:
        return None
    may_be_data = signatures.is_also_data(form.name) and size < _LARGE
    if may_be_data and not _is_named_as_model(path.name):
        return PossibleData(path)
    return WrittenCheckpoint(path, size)


def _is_named_as_model(name: str) -> bool:
    always = signatures.suffixes(signatures.Use.ALWAYS_A_MODEL)
    return bool(_TYPICAL_NAME.search(name)) or name.lower().endswith(always)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
