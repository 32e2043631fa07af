"""One file, or one folder, renamed: new to its place, in exchange, or across file systems."""

import errno
from contextlib import suppress

from jellyml.fs.directory import DirEntry

# No hard links: another file system, or one that has none, or no right to make one.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def put_new(staged: DirEntry, place: DirEntry) -> bool:
    """Put a file where nothing is; False when something is there."""
    try:
        if staged.rename_new(place):
            return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    return _link_new(staged, place)


def _link_new(staged: DirEntry, place: DirEntry) -> bool:
    """The same with a link, which fails where a rename would overwrite."""
    if place.exists():
        return False
    try:
        staged.link(place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename(staged, place)
    else:
        staged.unlink()
    return True


def swap(staged: DirEntry, place: DirEntry, displaced: DirEntry) -> bool:
    """Put ``staged`` at ``place`` and what was there at ``displaced``; never is it missing.

    False when nothing is there any more.
    """
    try:
        if staged.exchange(place):
            staged.rename(displaced)
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    try:
        place.link(displaced)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        place.copy(displaced)  # it will do to look at
    rename(staged, place)
    return True


def carry(source: DirEntry, target: DirEntry) -> None:
    """Rename a file or folder; across file systems piece by piece, each in both or in one."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if not source.is_folder():
            _copy_over(source, target)
            source.unlink()
            return
        with suppress(FileExistsError):
            target.make_folder(0o700)
        here, there = source.enter(), target.enter()
        for name in here.names():
            carry(here.entry(name), there.entry(name))
        source.copy_status(target)
        source.remove_folder()


def _copy_over(source: DirEntry, target: DirEntry) -> None:
    """Copy beside a place, then put it there whole, and make it durable."""
    beside = target.directory.entry(f".{target.name}.jellyml")
    with suppress(FileNotFoundError):  # of a copy that was killed
        beside.unlink()
    source.copy(beside)
    beside.rename(target)
    target.directory.sync()


def rename(source: DirEntry, target: DirEntry) -> None:
    """Rename over what is there; across file systems copy beside the target first."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(source, target)
        source.unlink()
