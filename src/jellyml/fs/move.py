"""Rename a file or folder: to a free name, in exchange, or across file systems."""

import errno
from contextlib import suppress

from jellyml.fs.directory import DirEntry

# Hard links are impossible: another file system, no support, or no permission.
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def put_new(staged: DirEntry, place: DirEntry) -> bool:
    """Move a file to a free name. False if the name is taken."""
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
    """Do the same with a hard link, which fails where a rename would overwrite."""
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
    """Put ``staged`` at ``place``, and the previous file at ``displaced``.

    Idea: exchange both names atomically; without that, link the old file, then rename over it.
    Invariant: ``place`` always exists. Returns False if nothing is at ``place`` any more.
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
        place.copy(displaced)  # a copy is sufficient to compare it later
    rename(staged, place)
    return True


def carry(source: DirEntry, target: DirEntry) -> None:
    """Rename a file or folder. Across file systems it moves entry by entry.

    Invariant: at any moment each file is in the source, in the target, or in both.
    """
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
    """Copy to a temporary name beside the target, rename it into place, and sync the folder."""
    beside = target.directory.entry(f".{target.name}.jellyml")
    with suppress(FileNotFoundError):  # left by a killed copy
        beside.unlink()
    source.copy(beside)
    beside.rename(target)
    target.directory.sync()


def rename(source: DirEntry, target: DirEntry) -> None:
    """Rename, and replace an existing target. Across file systems it copies first."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(source, target)
        source.unlink()
