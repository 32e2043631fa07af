"""renameat2(2): rename to a free name, or exchange two paths."""

import errno
import os
from pathlib import Path

from jellyml.fs import atomic

NO_REPLACE, EXCHANGE = 1, 2  # RENAME_NOREPLACE, RENAME_EXCHANGE: linux/fs.h
_AT_FDCWD = -100
# No hard links on this file system, or no permission to create one.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def rename_new(one: Path, other: Path) -> bool:
    """Rename atomically to a free name. Returns False if the system does not support it.

    Raises FileExistsError if the name is taken.
    """
    return rename_at((_AT_FDCWD, one), (_AT_FDCWD, other), NO_REPLACE)


def put_new(one: Path, other: Path) -> bool:
    """Move a file to a free name. False if the name is taken. Raises OSError.

    Falls back to a hard link, which does not overwrite either. Without hard links, a file that
    appears between the check and the rename is overwritten.
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
    """Call renameat2(2). False if the kernel or the file system lacks it. Raises OSError."""
    rename = getattr(atomic.libc(), "renameat2", None)
    if rename is None:
        return False
    if rename(one[0], os.fsencode(one[1]), other[0], os.fsencode(other[1]), flags) == 0:
        return True
    number = atomic.last_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number), str(one[1]), None, str(other[1]))
