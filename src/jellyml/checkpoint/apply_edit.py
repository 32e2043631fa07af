"""Change a checkpoint file by an edit, so that it is the old file or the new one however it ends.

In place where the edit allows it, so that the cost is that of what changes: the bytes that go are
first kept in a journal beside the file, and whoever comes next puts back what a kill left torn
(``mend``). Elsewhere through a copy and a rename.
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
_NO_LINK_NO_PIPE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_LONGEST_NAME = 200  # bytes; file systems take 255
# What lies before the change tells the file from one that was saved over it since: the end of a
# checkpoint holds checksums, or the last weights.
_WITNESS = 64 << 10


def refuse_links(path: Path, *, follow: bool) -> Path:
    """The file that a path names; UnsafeToContinue where others may go by the same bytes.

    Caches of models and of data versions keep files under the digest of their content, and
    put links to them where they are used. NoSnapshot for what is no file.
    """
    seen = path.stat()
    if not stat.S_ISREG(seen.st_mode):  # opening a pipe would wait for ever
        raise NoSnapshot(f"{path} is not a file.", "name the checkpoint's file or folder.")
    if not follow and (path.is_symlink() or seen.st_nlink > 1):
        what = "is a symbolic link" if path.is_symlink() else f"has {seen.st_nlink} names"
        raise UnsafeToContinue(
            f"{path} {what}: others may rely on the bytes of that file as they are.",
            "copy it first, or add --follow-links to change it all the same.",
        )
    return paths.resolved(path)


def refuse_writers(path: Path) -> None:
    """UnsafeToContinue while somebody has the file open to write: he would write over ours."""
    until = time.monotonic() + _WAIT
    while locks.is_written(path):
        if time.monotonic() > until:
            raise UnsafeToContinue(
                f"Another program has {path} open to write.",
                "wait until it has closed it, then try again.",
            )
        time.sleep(0.02)


def rewrite(path: Path, chunks: Iterable[bytes], seen: os.stat_result) -> None:
    """Put a new file in the place of an old one, with its mode and owner.

    Raises OSError with the old one in place, NotConfirmed with the new one. ``seen`` is the old
    one as the new was made of it; UnsafeToContinue if it is that no more.
    """
    with atomic.replacement(path, like=seen) as file:
        for chunk in chunks:
            file.write(chunk)
        _copy_attributes(path, file)
        _refuse_changed(path, path.stat(), seen)


def _copy_attributes(path: Path, file: BinaryIO) -> None:
    """As far as we may: labels, and who else may read it (ACLs)."""
    with suppress(AttributeError, OSError):  # not everywhere to be had
        for name in os.listxattr(path):
            with suppress(OSError):
                os.setxattr(file.fileno(), name, os.getxattr(path, name))


def amend(path: Path, edit: Edit, seen: os.stat_result) -> None:
    """Make the edit in place. Raises OSError with the file as it was before, NotConfirmed with
    the edit made.

    ``seen`` is the file as the edit was made for it; UnsafeToContinue if it is that no more.
    """
    with _held(path) as file:
        now = os.fstat(file.fileno())
        _refuse_changed(path, now, seen)
        if not edit.parts:
            _cut(file, edit.size)
            return
        try:
            _write_journal(path, file, edit, now)
            _change(file, edit)
            # That is not synced: if the journal comes back, it undoes the change as a whole.
            _journal(path).unlink()
        except BaseException as error:
            _put_back(path, file)
            if isinstance(error, atomic.NotConfirmed):
                raise error.undone() from None
            raise


def mend(path: Path) -> None:
    """Put back what an interrupted change left, and say so by a JellyWarning.

    Raises JellyError when the file cannot be written.
    """
    # The journal is beside the file that a link leads to, not beside the link.
    path = paths.resolved(path)
    if not os.path.lexists(_journal(path)):
        return
    try:
        with _held(path) as file:
            mended = _put_back(path, file)
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


def _refuse_changed(path: Path, now: os.stat_result, seen: os.stat_result) -> None:
    one, other = ((it.st_dev, it.st_ino, it.st_size, it.st_mtime_ns) for it in (now, seen))
    if one != other:
        raise UnsafeToContinue(
            f"{path} was changed by another program meanwhile. It is as that left it.",
            "wait until nobody writes it, then try again.",
        )


@contextmanager
def _held(path: Path) -> Iterator[BinaryIO]:
    """The file, open for changing it, and no other jellyml command in it."""
    with path.open("r+b", buffering=0) as file:
        if not locks.hold(file.fileno(), wait=_WAIT):
            raise UnsafeToContinue(
                f"Another program holds {path}, or another jellyml command is changing it.",
                "wait until it has ended, then try again.",
            )
        yield cast("BinaryIO", file)


@dataclass(frozen=True, slots=True)
class _Before:
    """The first line of a journal; the bytes from ``keep`` on follow it."""

    keep: int
    size: int
    witness: str  # digest of the bytes before ``keep``
    # Nobody can know it of a file that he has not seen: a journal may come with a stranger's code.
    inode: int


def _journal(path: Path) -> Path:
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return path.with_name(f".{name}.jellyml-undo")


def _write_journal(path: Path, file: BinaryIO, edit: Edit, now: os.stat_result) -> None:
    before = _Before(edit.keep, now.st_size, _witness(file, edit.keep), now.st_ino)
    line = json.dumps(asdict(before)).encode() + b"\n"
    kept = Record(edit.keep, now.st_size - edit.keep).chunks(file)
    atomic.replace(_journal(path), chain([line], kept))


def _witness(file: BinaryIO, keep: int) -> str:
    start = max(0, keep - _WITNESS)
    return hashlib.sha256(read_at(file, start, keep - start)).hexdigest()


def _cut(file: BinaryIO, size: int) -> None:
    """Without a journal: a file is cut off at once or not at all."""
    file.truncate(size)
    try:
        os.fsync(file.fileno())
    except OSError as error:
        raise atomic.NotConfirmed.because(error) from None


def _change(file: BinaryIO, edit: Edit) -> None:
    """Write the parts, the last one first.

    In an archive that is the directory: until it is there the old one counts, and from then on
    the new one, while the members behind it are still to come.
    """
    place = edit.size
    for part in reversed(edit.parts):
        assert not isinstance(part, Record)
        place -= len(part)
        file.seek(place)
        _write(file, part)
    file.truncate(edit.size)
    os.fsync(file.fileno())


def _write(file: BinaryIO, data: Buffer) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _put_back(path: Path, file: BinaryIO) -> bool:
    """Make the file what its journal says it was; the lock is held, so nobody else does."""
    kept = _open_journal(path)
    if kept is None:  # whoever held the lock has ended well
        return False
    with kept:
        # None where it has been saved anew since, and the journal is of a file that is gone.
        before = _before(kept, file)
        if before:
            file.seek(before.keep)
            while chunk := kept.read(1 << 20):
                _write(file, chunk)
            file.truncate(before.size)
            os.fsync(file.fileno())
    _journal(path).unlink(missing_ok=True)
    return before is not None


def _is_torn(path: Path) -> bool:
    """Whether a journal is of this file, as far as it can be read."""
    with suppress(OSError):
        kept = _open_journal(path)
        if kept:
            with kept, path.open("rb", buffering=0) as file:
                return _before(kept, cast("BinaryIO", file)) is not None
    return False


def _open_journal(path: Path) -> BinaryIO | None:
    """None where there is none, or something that none of ours is: a link, a pipe."""
    try:
        descriptor = os.open(_journal(path), os.O_RDONLY | _NO_LINK_NO_PIPE)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def _before(kept: BinaryIO, file: BinaryIO) -> _Before | None:
    """What a journal says, if it is whole and of this file; what it keeps is read next."""
    before = _parse(kept.readline(_LONGEST_LINE), os.fstat(kept.fileno()).st_size)
    if before is None:
        return None
    here = os.fstat(file.fileno())
    same = here.st_ino == before.inode and before.keep <= here.st_size
    return before if same and _witness(file, before.keep) == before.witness else None


def _parse(line: bytes, size: int) -> _Before | None:
    """What a journal says, if it is whole: a link or a stranger's file may lie in its place."""
    try:
        before = _Before(**json.loads(line))
        whole = len(line) + before.size - before.keep == size
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = type(before.keep) is type(before.size) is int
    return before if numbers and whole and 0 <= before.keep <= before.size else None
