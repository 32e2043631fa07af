"""What a run wrote: the files that were not there, or not so, when it began."""

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

#: Device, inode, time of the last change in ns, size: a file that was only moved keeps them.
Mark: TypeAlias = tuple[int, int, int, int]

MOST = 200_000  # files; the walk goes level by level, so the deepest are those left out
_SKIPPED = {"__pycache__", "node_modules", "site-packages"}
_ENVIRONMENT = "pyvenv.cfg"  # lies at the top of every virtual environment


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
