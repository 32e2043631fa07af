"""What a run wrote: files that are new or changed since it began, and which are checkpoints."""

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

#: Device, inode, time of the last change in ns, size: a file that was only moved keeps them.
Mark: TypeAlias = tuple[int, int, int, int]

MOST = 200_000  # files; the walk goes level by level, so the deepest are those left out
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}
_ENVIRONMENT = "pyvenv.cfg"  # lies at the top of every virtual environment

_OURS = (SIDECAR, MANIFEST_SIDECAR, MANIFEST_COMING)
_LARGE = 1_000_000  # bytes, as for what a capture leaves out
_CALLED_SO = re.compile(
    r"model|check_?point|ckpt|weight|epoch|step|best|last|final|estimator|classifier",
    re.IGNORECASE,
)
# What is called by the digest of its content lies in a cache, which a changed file would break:
# those of Hugging Face, DVC, Weights & Biases.
_DIGEST = re.compile(r"[0-9a-f]{30,128}")
# Where Hugging Face's hub notes what it has put into a folder; it was not made there.
_FETCHED = Path(".cache", "huggingface", "download")
_MOST_ABOVE = 4  # folders in which such notes are looked for


@dataclass(slots=True)
class Seen:
    """The files below some folders, but for what is hidden and for environments."""

    files: dict[str, Mark] = field(default_factory=dict)
    whole: bool = True  # False where there were more than ``MOST``

    def marks(self) -> frozenset[Mark]:
        return frozenset(self.files.values())

    def written_since(self, before: Set[Mark]) -> dict[Path, Mark]:
        return {Path(path): mark for path, mark in self.files.items() if mark not in before}


def look(folders: Iterable[Path], most: int = MOST) -> Seen:
    """Links to folders are followed, as people put checkpoints on another disk; links to files
    are not. What cannot be read is passed over.
    """
    seen = Seen()
    waiting = deque(folders)
    walked: set[tuple[int, int]] = set()
    while waiting:
        folder = waiting.popleft()
        try:
            here = folder.stat()
            if (here.st_dev, here.st_ino) in walked:
                continue
            walked.add((here.st_dev, here.st_ino))
            entries = list(os.scandir(folder))
        except OSError:
            continue
        if any(entry.name == _ENVIRONMENT for entry in entries):
            continue
        waiting.extend(_folders(entries))
        for path, mark in _files(entries):
            if len(seen.files) == most:
                seen.whole = False
                return seen
            seen.files[path] = mark
    return seen


def mark_of(path: Path) -> Mark | None:
    """None where there is no such file any more."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return _mark(found) if stat.S_ISREG(found.st_mode) else None


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
                # Not the entry's own: on Windows that has no inode.
                yield entry.path, _mark(os.lstat(entry.path))
        except OSError:
            continue


def _mark(found: os.stat_result) -> Mark:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or folder that is to be filled. ``size`` is that of what was written, in bytes."""

    path: Path
    size: int
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A file that could be data as well: it is named, not filled."""

    path: Path


def candidates(written: Iterable[Path]) -> Iterator[Candidate | Doubtful]:
    """Those among the files that a run wrote; the largest is not the first."""
    by_folder: dict[Path, list[Path]] = {}
    for path in written:
        by_folder.setdefault(path.parent, []).append(path)
    for folder, paths in by_folder.items():
        new = [path for path in paths if path.name not in _OURS and not _is_fetched(path)]
        if new and _is_whole(folder):
            yield Candidate(folder, sum(map(_size, new)), folder=True)
        else:
            for path in new:
                if found := _judged(path):
                    yield found


def _is_fetched(path: Path) -> bool:
    """Whether it is somebody else's, and was only brought here."""
    if _DIGEST.fullmatch(path.name):
        return True
    notes = (
        above / _FETCHED / path.relative_to(above).with_name(f"{path.name}.metadata")
        for above in path.parents[:_MOST_ABOVE]
    )
    return any(each.exists() for each in notes)


def _is_whole(folder: Path) -> bool:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names are enough)
    except OSError:
        return False
    if ".git" in names:  # nothing is put beside code
        return False
    return any(map(signatures.is_folder_mark, names))


def _judged(path: Path) -> Candidate | Doubtful | None:
    if signatures.is_companion(path.name):
        return None
    try:
        with path.open("rb", buffering=0) as file:
            form = format_of(file)
    except OSError:  # gone again
        return None
    size = _size(path)
    if form is unknown or form is compressed or not size:
        return None
    may_be_data = signatures.is_also_data(form.name) and size < _LARGE
    if may_be_data and not _is_named_as_model(path.name):
        return Doubtful(path)
    return Candidate(path, size)


def _is_named_as_model(name: str) -> bool:
    always = signatures.suffixes(signatures.Use.ALWAYS_A_MODEL)
    return bool(_CALLED_SO.search(name)) or name.lower().endswith(always)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
