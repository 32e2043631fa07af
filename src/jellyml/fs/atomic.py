"""Atomic file replacement, and syncing to disk.

Idea: write a temporary file beside the target, sync it, rename it, sync the folder.
Invariant: a reader sees the old file or the new one, and a power cut leaves one of the two.
"""

import errno
import functools
import os
import shutil
import stat
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from jellyml.fs import locks

if TYPE_CHECKING:
    import ctypes

# The prefix of the temporary files that ``replacement`` writes. Process id and time follow.
_MACHINE = b"" if os.name == "nt" else os.fsencode(os.uname().nodename)
BESIDE = f".jellyml-{zlib.crc32(_MACHINE):08x}-"

# The errors that mean: nothing is, or can be, at this path.
NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class NotConfirmed(OSError):
    """The change was made, but the system did not confirm that it is on the disk."""

    @classmethod
    def because(cls, error: OSError) -> "NotConfirmed":
        return cls(error.errno, error.strerror, error.filename)

    def undone(self) -> OSError:
        """Return the same error, for use after the change was reverted."""
        return OSError(self.errno, self.strerror, self.filename)


def replace(
    path: Path,
    chunks: Iterable[bytes],
    *,
    mode: int | None = None,
    like: os.stat_result | None = None,
    durable: bool = True,
) -> None:
    """Write a file atomically, and replace an existing one.

    Raises OSError if the old file is still in place, NotConfirmed if the new one is.

    A new file gets ``mode`` less the umask (0600 by default). With ``like`` it gets exactly the
    mode of that file and, if permitted, its owner.
    """
    with replacement(path, mode=mode, like=like, durable=durable) as file:
        for chunk in chunks:
            file.write(chunk)


@contextmanager
def replacement(
    path: Path,
    *,
    mode: int | None = None,
    like: os.stat_result | None = None,
    durable: bool = True,
    put: Callable[[Path, Path], object] = Path.replace,
) -> Iterator[BinaryIO]:
    """Yield an empty file for a writer that seeks. It replaces ``path`` at the end of the block.

    ``put`` moves the complete file into place. If it raises, ``path`` is unchanged.
    """
    # A short name: the target's own name may have the maximum length.
    beside = path.with_name(f"{BESIDE}{os.getpid():x}-{time.monotonic_ns():x}")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        descriptor = os.open(beside, flags, 0o600 if mode is None else mode)
        with os.fdopen(descriptor, "w+b") as file:
            _mark_as_used(descriptor)
            yield file
            if like:
                _make_like(beside, like)
            if durable:
                file.flush()
                os.fsync(descriptor)
        put(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    if durable:
        try:
            sync_folder(path.parent)
        except OSError as error:
            raise NotConfirmed.because(error) from None


def _mark_as_used(descriptor: int) -> None:
    if os.name != "nt":  # a locked file cannot be read on Windows
        with suppress(OSError):
            locks.hold(descriptor, wait=0)


def _make_like(path: Path, other: os.stat_result) -> None:
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(path, other.st_uid, other.st_gid)
    path.chmod(stat.S_IMODE(other.st_mode))  # after chown, which clears some mode bits


def read_plain(path: Path, most: int = 1 << 30) -> bytes:
    """Return the bytes of a regular file.

    Raises OSError for any other kind of file, and for more than ``most`` bytes.

    A symbolic link is refused too. For files that an untrusted folder may contain: reading a pipe
    or a device could block or never end.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, "Larger than such a file usually is", str(path))
        return file.read(size)


def open_plain(path: Path) -> BinaryIO:
    """Open a regular file to read. Raises OSError for any other kind, and for a symbolic link."""
    file = open(path, "rb", opener=no_follow)  # noqa: SIM115 (the caller closes it)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return file


_PLAIN = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def no_follow(path: str | bytes, flags: int) -> int:
    """Open a file, but no symbolic link, and without waiting for a pipe: an opener for ``open``.

    With an opener, ``open`` closes the descriptor of a folder that it refuses. ``os.fdopen`` leaves
    it open.
    """
    return os.open(path, flags | _PLAIN, 0o666)


def walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like ``os.walk`` from the top, but iterative; before Python 3.12 that one recurses.

    An untrusted folder may be deeper than Python's recursion limit.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        here = waiting.pop()
        folders: list[str] = []
        names: list[str] = []
        with suppress(OSError), os.scandir(here) as entries:
            for entry in entries:
                (folders if entry.is_dir() else names).append(entry.name)
        yield here, folders, names
        waiting += (place for name in folders if not os.path.islink(place := f"{here}/{name}"))  # noqa: PTH114


def sync_folder(folder: Path) -> None:
    """Sync the renames in a folder. Does nothing where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(root: Path, folders: Iterable[Path]) -> None:
    """Sync the renames in ``folders``, with a single ``syncfs`` where it is available."""
    if _syncfs(root):
        return
    for folder in folders:
        with suppress(FileNotFoundError):
            sync_folder(folder)


def sync_tree(folder: Path) -> None:
    """Sync all files and folders below a folder."""
    if _syncfs(folder):
        return
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                with path.open("rb+" if os.name == "nt" else "rb") as file:
                    os.fsync(file.fileno())
        sync_folder(Path(parent))


def _syncfs(folder: Path) -> bool:
    """Sync the file system that holds a folder (200 files: 32 ms instead of 85)."""
    syncfs = getattr(libc(), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor) == 0:
            return True
        number = last_errno()
    finally:
        os.close(descriptor)
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(folder))


@functools.cache
def libc() -> "ctypes.CDLL | None":
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # late: most commands do not need it

    return ctypes.CDLL(None, use_errno=True)


def last_errno() -> int:
    import ctypes

    return ctypes.get_errno()


def remove_tree(folder: Path) -> None:
    """Remove a JellyML folder, whatever the modes below it. Its parent is not changed."""
    opened = set[str]()

    def unlock(function: Callable[..., object], path: str, _: object) -> None:
        place = Path(path)
        with suppress(OSError):
            if place != folder:
                place.parent.chmod(0o700)
            if function in (os.unlink, os.rmdir):
                # Elsewhere the folder's mode decides, and the file may have other hard links.
                if os.name == "nt":
                    place.chmod(0o700)
                function(path)
            elif path not in opened and not place.is_symlink():  # it could not be opened or listed
                opened.add(path)
                place.chmod(0o700)
                shutil.rmtree(path, onerror=unlock)

    if folder.exists():
        shutil.rmtree(folder, onerror=unlock)
