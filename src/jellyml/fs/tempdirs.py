"""Temporary folders and files; those of a killed process are removed by a later command.

Idea: each folder contains a lock file that its process holds. The system releases the lock when
the process ends, even if it is killed. Invariant: a JellyML folder whose lock can be taken has
no owner, and may be removed.
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
# On a shared disk, a lock may be visible to one machine only.
ALIVE = "alive" if os.name == "nt" else f"alive-{os.uname().nodename}"


@contextmanager
def folder(near: Path | None = None) -> Iterator[Path]:
    """Yield a new private folder in ``near`` or the system's temporary folder; remove it after."""
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=near))
    try:
        with _alive(place):
            # If TMPDIR is inside a working tree, git must not take the folder for code.
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
    with ExitStack() as locked:
        with suppress(OSError):  # a file system without locks: such a folder is never swept
            locked.enter_context(locks.locked(new, wait=0))
            new.rename(place / ALIVE)  # locked before it is visible under the final name
        yield


def sweep() -> None:
    """Remove what killed processes of this user left in the system's temporary folder."""
    if os.name == "nt":
        return
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_ours(entry):
                _drop(Path(entry.path))


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    with suppress(OSError):
        status = entry.stat(follow_symlinks=False)
        private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o700
        return private and status.st_uid == os.getuid()
    return False


def _drop(place: Path) -> None:
    with suppress(OSError):
        if not (place / ALIVE).is_file():
            return
        with locks.locked(place / ALIVE, wait=0) as free:
            if free:
                _remove(place)


def _remove(place: Path) -> None:
    """Remove the lock file last, so that a removal that is killed is still swept."""
    for one in list(place.iterdir()):
        if one.name == ALIVE:
            continue
        if one.is_dir() and not one.is_symlink():
            atomic.remove_tree(one)
        else:
            one.unlink(missing_ok=True)
    atomic.remove_tree(place)


def sweep_beside(folder: Path) -> None:
    """Remove temporary files of ``atomic`` whose process, of this user and machine, was killed."""
    if os.name == "nt":  # it is unknown there whether a process runs
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
    """The file is locked if its process runs in another container of this machine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
        if ours and locks.hold(descriptor, wait=0):
            path.unlink()
    finally:
        os.close(descriptor)
