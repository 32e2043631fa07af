"""Lock files that the system releases when a process ends, and the writers of a file."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jellyml.errors import UnsafeToContinue

# The errors of a file system without locks: some of NFS, Lustre, FUSE.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def locked(
    path: Path, *, wait: float, unless: Callable[[], bool] = lambda: False
) -> Iterator[bool]:
    """Hold the lock file at ``path``. Yields False if it is still taken after ``wait`` seconds.

    Waiting stops as soon as ``unless`` returns True. The system releases the lock when the process
    ends, even if it is killed. Invariant: after locking, the descriptor is still the file at
    ``path``. If another process removed the file meanwhile, a new one is created and locked.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # never created through a link
    descriptor = os.open(path, flags, 0o600)
    try:
        acquired = _acquired(descriptor, wait, unless)
        while acquired and not _is_at(descriptor, path):  # removed while we waited
            os.close(descriptor)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            descriptor = os.open(path, flags, 0o600)
            acquired = _acquired(descriptor, wait, unless)
        yield acquired
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def hold(descriptor: int, *, wait: float) -> bool:
    """Lock an open file until it is closed. False if it is still locked after ``wait`` seconds."""
    return _acquired(descriptor, wait, lambda: False)


def _acquired(descriptor: int, wait: float, unless: Callable[[], bool]) -> bool:
    began = time.monotonic()
    while not _try_lock(descriptor):
        waited = time.monotonic() - began
        if waited >= wait or unless():
            return False
        # At most a few per cent late, without polling so often that it slows the lock's holder.
        time.sleep(min(max(0.002, waited / 10), 0.02))
    return True


if os.name == "nt":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True

    def is_written(path: Path) -> bool:
        return False

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_written(path: Path) -> bool:
        """Return True if a process has the file open for writing; False if this is unknown.

        The kernel grants no read lease on such a file.
        """
        lease = getattr(fcntl, "F_SETLEASE", None)
        if lease is None:
            return False
        try:
            with path.open("rb") as file:
                fcntl.fcntl(file, lease, fcntl.F_RDLCK)
        except OSError as error:
            return error.errno == errno.EAGAIN
        return False


@contextmanager
def only_one(path: Path, *, wait: float, doing: str) -> Iterator[None]:
    """Hold the lock, or raise UnsafeToContinue with what the other process is ``doing``."""
    with ExitStack() as stack:
        try:
            acquired = stack.enter_context(locked(path, wait=wait))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise UnsafeToContinue(
                f"The file system of {path.parent} has no locks: nothing would keep two commands"
                " from working there at once. Nothing was changed.",
                "have it mounted with locks (flock), or work in a copy on another disk.",
            ) from None
        if not acquired:
            raise UnsafeToContinue(
                f"Another jellyml command is {doing}.", "wait until it has ended, then try again."
            )
        yield
