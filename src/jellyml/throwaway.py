"""Temporary folders that a later command drops, should the one that made them be killed.

Each holds a file that its process keeps locked. The system drops the lock when the process
ends, however it ends: a folder of ours whose lock can be taken is nobody's any more.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jellyml import files

PREFIX = "jellyml-"
_ALIVE = "alive"


@contextmanager
def folder(near: Path | None = None) -> Iterator[Path]:
    """A new private folder, gone afterwards: in ``near`` or the system's place for such things."""
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=near))
    try:
        with _alive(place):
            # In a working tree, where TMPDIR may lie, git must not take it for code.
            (place / ".gitignore").write_text("*\n")
            yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _alive(place: Path) -> Iterator[None]:
    if os.name == "nt":  # an open file cannot be renamed there: such a folder is never swept
        yield
        return
    new = place / f"{_ALIVE}.new"
    with files.locked(new, wait=0):
        new.rename(place / _ALIVE)  # locked before anybody can see it
        yield


def sweep() -> None:
    """Drop what killed processes of this user left in the system's temporary folder."""
    if os.name == "nt":
        return
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_ours(entry):
                _drop(Path(entry.path))


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    with suppress(OSError):
        seen = entry.stat(follow_symlinks=False)
        private = stat.S_ISDIR(seen.st_mode) and stat.S_IMODE(seen.st_mode) == 0o700
        return private and seen.st_uid == os.getuid()
    return False


def _drop(place: Path) -> None:
    with suppress(OSError):
        if not (place / _ALIVE).is_file():
            return
        with files.locked(place / _ALIVE, wait=0) as free:
            if free:
                files.remove_tree(place)
