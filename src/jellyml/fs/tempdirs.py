"""Temporary folders and files that a later command drops, should the one that made them be killed.

Each folder holds a file that its process keeps locked. The system drops the lock when the process
ends, however it ends: a folder of ours whose lock can be taken is nobody's any more.
"""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from jellyml.fs import atomic, locks

PREFIX = "jellyml-"
_BESIDE = re.compile(re.escape(atomic.BESIDE) + r"([0-9a-f]{1,8})-[0-9a-f]+")
# A lock may be known to one machine only, where the folder is on a disk that several share.
ALIVE = "alive" if os.name == "nt" else f"alive-{os.uname().nodename}"


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
        with suppress(OSError):
            _remove(place)


@contextmanager
def _alive(place: Path) -> Iterator[None]:
    if os.name == "nt":  # an open file cannot be renamed there: such a folder is never swept
        yield
        return
    new = place / f"{ALIVE}.new"
    with ExitStack() as held:
        with suppress(OSError):  # a file system without locks: nothing is swept there
            held.enter_context(locks.locked(new, wait=0))
            new.rename(place / ALIVE)  # locked before anybody can see it
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
        if not (place / ALIVE).is_file():
            return
        with locks.locked(place / ALIVE, wait=0) as free:
            if free:
                _remove(place)


def _remove(place: Path) -> None:
    """The lock goes last: what is left by one who is killed here is swept, too."""
    for one in list(place.iterdir()):
        if one.name == ALIVE:
            continue
        if one.is_dir() and not one.is_symlink():
            atomic.remove_tree(one)
        else:
            one.unlink(missing_ok=True)
    atomic.remove_tree(place)


def sweep_beside(folder: Path) -> None:
    """Drop what killed processes of this user and machine left of files they were replacing."""
    if os.name == "nt":  # there it is not known whether a process runs
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _BESIDE.fullmatch(entry.name)
            if match and not _runs(int(match[1], 16)):
                with suppress(OSError):
                    _drop_file(Path(entry.path))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _drop_file(path: Path) -> None:
    """It is locked where its process runs in another container of this machine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        seen = os.fstat(descriptor)
        ours = stat.S_ISREG(seen.st_mode) and seen.st_uid == os.getuid()
        if ours and locks.hold(descriptor, wait=0):
            path.unlink()
    finally:
        os.close(descriptor)
