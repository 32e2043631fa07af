"""Rename by renameat2(2): only to a free name, or two paths in exchange."""

import errno
import os
from pathlib import Path

from jellyml.fs import atomic

NO_REPLACE, EXCHANGE = 1, 2  # RENAME_NOREPLACE, RENAME_EXCHANGE: linux/fs.h
_AT_FDCWD = -100
# A file system that has no hard links, or no right to make one.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def rename_new(one: Path, other: Path) -> bool:
    """Rename to where nothing lies, in one step; False where that cannot be had.

    Raises FileExistsError when something lies there.
    """
    return rename_at((_AT_FDCWD, one), (_AT_FDCWD, other), NO_REPLACE)


def put_new(one: Path, other: Path) -> bool:
    """Rename a file to where nothing is; False where something is. Raises OSError.

    By a hard link where no rename refuses to overwrite. Where there are no links either, a file
    that appears between a look and the rename is overwritten.
    """
    try:
        if rename_new(one, other):
            return True
        os.link(one, other, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(other):
            return False
        one.replace(other)
    else:
        one.unlink()
    return True


At = tuple[int, "str | Path"]  # a directory's descriptor, and a name in it


def rename_at(one: At, other: At, flags: int) -> bool:
    """renameat2(2); False where there is none, or none for this file system. Raises OSError."""
    rename = getattr(atomic.libc(), "renameat2", None)
    if rename is None:
        return False
    if rename(one[0], os.fsencode(one[1]), other[0], os.fsencode(other[1]), flags) == 0:
        return True
    number = atomic.last_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(one[1]), None, str(other[1]))
