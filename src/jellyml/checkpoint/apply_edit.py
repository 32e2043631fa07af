"""Apply an edit to a checkpoint file. After a kill, the file is the old one or the new one.

An edit in place writes only the bytes that change. The old bytes are saved in an undo file beside
the checkpoint first, and the next command restores them after a kill (``mend``). Other edits write
a copy and rename it.
"""

import hashlib
import json
import os
import stat
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from jellyml.errors import JellyError, JellyWarning, NoSnapshot, UnsafeToContinue
from jellyml.formats.edit import Buffer, Edit
from jellyml.formats.record import Record, read_at
from jellyml.fs import atomic, locks, paths

_WAIT = 3.0  # seconds, for another command that is changing the same file
_LONGEST_LINE = 1024
_LONGEST_NAME = 200  # bytes; file systems take 255
# The bytes before the change identify the file: the end of a checkpoint holds checksums or weights,
# which differ if it was saved again.
_WITNESS = 64 << 10


def refuse_links(path: Path, *, follow: bool) -> Path:
    """Return the path with links resolved. Raises UnsafeToContinue for links, NoSnapshot.

    Model caches store files under the digest of their content and link to them. A change would
    reach every link.
    """
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):  # opening a pipe would block
        raise NoSnapshot(f"{path} is not a file.", "name the checkpoint's file or folder.")
    if not follow and (path.is_symlink() or seen.st_nlink > 1):
        what = "is a symbolic link" if path.is_symlink() else f"has {seen.st_nlink} names"
        raise UnsafeToContinue(
            f"{path} {what}: other programs may rely on its content.",
            "copy it first, or add --follow-links to change it all the same.",
        )
    return paths.resolved(path)


def refuse_writers(path: Path) -> None:
    """Raise UnsafeToContinue if another program has the file open for writing."""
    deadline = time.monotonic() + _WAIT
    while locks.is_written(path):
        if time.monotonic() > deadline:
            raise UnsafeToContinue(
                f"Another program has {path} open to write.",
                "wait until it has closed it, then try again.",
            )
        time.sleep(0.02)


def rewrite(path: Path, chunks: Iterable[bytes], seen: os.stat_result) -> None:
    """Replace a file, and retain its mode and owner. ``seen`` is its status when it was read.

    Raises OSError with the old file in place, NotConfirmed with the new one, UnsafeToContinue if
    the file has changed since.
    """
    with atomic.replacement(path, like=seen) as file:
        for chunk in chunks:
            file.write(chunk)
        _copy_attributes(path, file)
        _check_unchanged(path, path.stat(), seen)


def _copy_attributes(path: Path, file: BinaryIO) -> None:
    """Copy extended attributes, such as ACLs and labels, as far as permitted."""
    with suppress(AttributeError, OSError):  # not on every platform
        for name in os.listxattr(path):
            with suppress(OSError):
                os.setxattr(file.fileno(), name, os.getxattr(path, name))


def amend(path: Path, edit: Edit, seen: os.stat_result) -> None:
    """Apply the edit in place. ``seen`` is the file's status when it was read.

    Raises OSError with the file unchanged, NotConfirmed with the edit applied, UnsafeToContinue if
    the file has changed since.
    """
    with _locked(path) as file:
        now = os.fstat(file.fileno())
        _check_unchanged(path, now, seen)
        if not edit.parts:
            _cut(file, edit.size)
            return
        try:
            _write_journal(path, file, edit, now)
            _change(file, edit)
            # Not synced: a journal that reappears after a power cut undoes the whole change.
            _journal(path).unlink()
        except BaseException as error:
            _restore(path, file)
            if isinstance(error, atomic.NotConfirmed):
                raise error.undone() from None
            raise


def mend(path: Path) -> None:
    """Undo an interrupted change, with a JellyWarning. Raises JellyError if that fails."""
    # The journal is beside the target of a link, not beside the link.
    path = paths.resolved(path)
    if not os.path.lexists(_journal(path)):
        return
    try:
        with _locked(path) as file:
            mended = _restore(path, file)
    except OSError as error:
        if not _is_torn(path):
            return
        raise JellyError(
            f"{path} is half changed, since jellyml was interrupted, and cannot be mended: "
            f"{error.strerror or error}.",
            "make the file and its folder writable, then try again.",
        ) from None
    if mended:
        warnings.warn(
            f"{path} was half changed: a jellyml fill or strip had been interrupted. It is again"
            " what it was before.",
            JellyWarning,
            stacklevel=2,
        )


def _check_unchanged(path: Path, now: os.stat_result, seen: os.stat_result) -> None:
    one, other = ((it.st_dev, it.st_ino, it.st_size, it.st_mtime_ns) for it in (now, seen))
    if one != other:
        raise UnsafeToContinue(
            f"{path} was changed by another program meanwhile. It is as that left it.",
            "wait until no program writes it, then try again.",
        )


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open the file for writing, and lock it against other jellyml commands."""
    with path.open("r+b", buffering=0) as file:
        if not locks.hold(file.fileno(), wait=_WAIT):
            raise UnsafeToContinue(
                f"Another program holds {path}, or another jellyml command is changing it.",
                "wait until it has ended, then try again.",
            )
        yield cast("BinaryIO", file)


@dataclass(frozen=True, slots=True)
class _Before:
    """The first line of a journal. The old bytes from ``keep`` on follow it."""

    keep: int
    size: int
    witness: str  # digest of the bytes before ``keep``
    # A journal that came with untrusted code cannot know the inode of this file.
    inode: int


def _journal(path: Path) -> Path:
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f".{name}.jellyml-undo")


def _write_journal(path: Path, file: BinaryIO, edit: Edit, now: os.stat_result) -> None:
    before = _Before(edit.keep, now.st_size, _witness(file, edit.keep), now.st_ino)
    line = json.dumps(asdict(before)).encode() + b"\n"
    old = Record(edit.keep, now.st_size - edit.keep).chunks(file)
    atomic.replace(_journal(path), chain([line], old))


def _witness(file: BinaryIO, keep: int) -> str:
    start = max(0, keep - _WITNESS)
    return hashlib.sha256(read_at(file, start, keep - start)).hexdigest()


def _cut(file: BinaryIO, size: int) -> None:
    """Truncate without a journal: truncation is atomic."""
    file.truncate(size)
    try:
        os.fsync(file.fileno())
    except OSError as error:
        raise atomic.NotConfirmed.because(error) from None


def _change(file: BinaryIO, edit: Edit) -> None:
    """Write the parts, the last one first. In an archive that is the directory."""
    offset = edit.size
    for part in reversed(edit.parts):
        assert not isinstance(part, Record)
        offset -= len(part)
        file.seek(offset)
        _write(file, part)
    file.truncate(edit.size)
    os.fsync(file.fileno())


def _write(file: BinaryIO, data: Buffer) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _restore(path: Path, file: BinaryIO) -> bool:
    """Restore the old bytes from the journal. The caller holds the lock."""
    journal = _open_journal(path)
    if journal is None:  # the command that held the lock has finished
        return False
    with journal:
        # None if the file was saved again: the journal belongs to a file that is gone.
        before = _before(journal, file)
        if before:
            file.seek(before.keep)
            while chunk := journal.read(1 << 20):
                _write(file, chunk)
            file.truncate(before.size)
            os.fsync(file.fileno())
    _journal(path).unlink(missing_ok=True)
    return before is not None


def _is_torn(path: Path) -> bool:
    """Return whether a readable journal belongs to this file."""
    with suppress(OSError):
        journal = _open_journal(path)
        if journal:
            with journal, path.open("rb", buffering=0) as file:
                return _before(journal, cast("BinaryIO", file)) is not None
    return False


def _open_journal(path: Path) -> BinaryIO | None:
    """Return None without a journal, and for a link or a pipe."""
    with suppress(OSError):
        return atomic.open_plain(_journal(path))
    return None


def _before(journal: BinaryIO, file: BinaryIO) -> _Before | None:
    """Read the first line of a journal; None if it is incomplete or not of this file."""
    before = _parse(journal.readline(_LONGEST_LINE), os.fstat(journal.fileno()).st_size)
    if before is None:
        return None
    here = os.fstat(file.fileno())
    same = here.st_ino == before.inode and before.keep <= here.st_size
    return before if same and _witness(file, before.keep) == before.witness else None


def _parse(line: bytes, size: int) -> _Before | None:
    """Parse the first line of a journal; None if it is incomplete or malformed."""
    try:
        before = _Before(**json.loads(line))
        whole = len(line) + before.size - before.keep == size
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = type(before.keep) is type(before.size) is int
    return before if numbers and whole and 0 <= before.keep <= before.size else None
