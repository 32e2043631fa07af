"""One file, or one folder, renamed: new to its place, in exchange, or across file systems."""

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from jellyml import files
from jellyml.code.scan import is_folder

# No hard links: another file system, or one that has none, or no right to make one.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def put_new(staged: Path, place: Path) -> bool:
    """Put a file where nothing lies; False when something does."""
    try:
        if files.rename_new(staged, place):
            return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    return _link_new(staged, place)


def _link_new(staged: Path, place: Path) -> bool:
    """The same with a link, which fails where a rename would overwrite."""
    if os.path.lexists(place):
        return False
    try:
        os.link(staged, place, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename(staged, place)
    else:
        staged.unlink()
    return True


def swap(staged: Path, place: Path, displaced: Path) -> bool:
    """Put ``staged`` at ``place`` and what was there at ``displaced``; never is it missing.

    False when nothing lies there any more.
    """
    try:
        if files.exchange(staged, place):
            staged.rename(displaced)
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    try:
        os.link(place, displaced, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(place, displaced, follow_symlinks=False)  # it will do to look at
    rename(staged, place)
    return True


def carry(source: Path, target: Path) -> None:
    """Rename a file or folder; across file systems piece by piece, each in both or in one."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if not is_folder(source):
            _copy_over(source, target)
            source.unlink()
            return
        with suppress(FileExistsError):
            target.mkdir(mode=0o700)
        for piece in sorted(source.iterdir()):
            carry(piece, target / piece.name)
        shutil.copystat(source, target)
        source.rmdir()


def _copy_over(source: Path, target: Path) -> None:
    """Copy beside a place, then put it there whole, and make it last."""
    beside = target.with_name(f".{target.name}.jellyml")
    if stat.S_ISFIFO(source.lstat().st_mode):
        os.mkfifo(beside)
        shutil.copystat(source, beside)
    else:
        shutil.copy2(source, beside, follow_symlinks=False)
    if not source.is_symlink() and source.is_file():
        with beside.open("rb") as file:
            os.fsync(file.fileno())
    beside.replace(target)
    files.sync_folder(target.parent)


def rename(source: Path, target: Path) -> None:
    """Rename over what is there; across file systems copy beside the target first."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(source, target)
        source.unlink()
