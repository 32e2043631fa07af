"""Directories held open: what is done in one stays in it, whatever becomes of its path.

A path is opened step by step, and no step follows a symbolic link (openat(2) with O_NOFOLLOW), so
nothing outside can be reached through a link, also not through one that another process puts in
a folder's place meanwhile. Windows has no directory descriptors: each step is looked at there
before it is taken.
"""

import errno
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import UnsafeToContinue
from jellyml.fs import rename

_DESCRIPTORS = os.name != "nt" and os.open in os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0) | _NO_LINK
# Enough to act in a folder; without it a folder that may be entered but not listed is closed.
_SEARCH = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # of a pipe
_NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)
_OUTSIDE = (b"", b".", b"..")
_BLOCK = 1 << 20
_RECENT = 4  # folders of a tree that are held open: most moves are near the one before


class Directory:
    """One directory, held open for as long as this object lives."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path  # for messages, and where there are no descriptors
        self.descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> "Directory":
        """The directory at a path, whose own links are followed. Raises OSError."""
        if not _DESCRIPTORS:
            return cls(path, None)
        return cls(path, os.open(path, _SEARCH & ~_NO_LINK))

    def __del__(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def entry(self, name: str) -> "DirEntry":
        return DirEntry(self, name)

    def enter(self, name: str) -> "Directory":
        """A directory in this one. NotADirectoryError also for a link, FileNotFoundError."""
        entry = self.entry(name)
        if self.descriptor is None:
            if not stat.S_ISDIR(entry.status().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(entry.path))
            return Directory(entry.path, None)
        try:
            return Directory(entry.path, os.open(name, _SEARCH, dir_fd=self.descriptor))
        except OSError as error:
            if error.errno in _NOT_A_FOLDER:
                error = NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            error.filename = str(entry.path)
            raise error from None

    def names(self) -> list[str]:
        """What is in it, sorted."""
        if self.descriptor is None:
            return sorted(os.listdir(self.path))  # noqa: PTH208
        with _opened(".", os.O_RDONLY, self) as readable:
            return sorted(os.listdir(readable))  # noqa: PTH208 (a descriptor)

    def sync(self) -> None:
        """Make renames in it durable; does nothing where folders cannot be opened (Windows)."""
        if self.descriptor is not None:
            with _opened(".", os.O_RDONLY, self) as readable:
                os.fsync(readable)


@dataclass(frozen=True, slots=True)
class DirEntry:
    """A name in a directory, whether anything is there or not. No method follows a link."""

    directory: Directory
    name: str

    @property
    def path(self) -> Path:
        return self.directory.path / self.name

    @property
    def _where(self) -> "str | Path":
        return self.path if self.directory.descriptor is None else self.name

    def status(self) -> os.stat_result:
        return os.stat(self._where, dir_fd=self.directory.descriptor, follow_symlinks=False)

    def exists(self) -> bool:
        with suppress(FileNotFoundError):
            self.status()
            return True
        return False

    def is_folder(self) -> bool:
        """True for a folder itself, not for a link to one."""
        with suppress(FileNotFoundError):
            return stat.S_ISDIR(self.status().st_mode)
        return False

    def enter(self) -> Directory:
        return self.directory.enter(self.name)

    def touch(self) -> None:
        """Make an empty file where nothing is. Raises OSError for a link."""
        with _opened(self.name, os.O_WRONLY | os.O_CREAT | _NO_LINK, self.directory):
            pass

    def make_folder(self, mode: int = 0o777) -> None:
        os.mkdir(self._where, mode, dir_fd=self.directory.descriptor)

    def remove_folder(self) -> None:
        os.rmdir(self._where, dir_fd=self.directory.descriptor)

    def unlink(self) -> None:
        os.unlink(self._where, dir_fd=self.directory.descriptor)

    def rename(self, target: "DirEntry") -> None:
        """Over what is there, if anything is. Raises OSError, EXDEV for another file system."""
        mine, its = self.directory.descriptor, target.directory.descriptor
        os.replace(self._where, target._where, src_dir_fd=mine, dst_dir_fd=its)

    def rename_new(self, target: "DirEntry") -> bool:
        """To where nothing is, in one step; False where the system cannot. FileExistsError."""
        return self._rename_at(target, rename.NO_REPLACE)

    def exchange(self, target: "DirEntry") -> bool:
        """Swap two in one step, so that neither is ever missing; False where that cannot be."""
        return self._rename_at(target, rename.EXCHANGE)

    def _rename_at(self, target: "DirEntry", flags: int) -> bool:
        mine, its = self.directory.descriptor, target.directory.descriptor
        if mine is None or its is None:
            return False
        return rename.rename_at((mine, self.name), (its, target.name), flags)

    def link(self, target: "DirEntry") -> None:
        """A second name for the same file. Raises OSError."""
        mine, its = self.directory.descriptor, target.directory.descriptor
        os.link(self._where, target._where, src_dir_fd=mine, dst_dir_fd=its, follow_symlinks=False)

    def chmod(self, mode: int) -> None:
        """Set the mode of a file or folder; a link has none of its own and is left."""
        if self.directory.descriptor is None:
            self.path.chmod(mode)
            return
        try:
            with _opened(self.name, os.O_RDONLY | _NO_LINK | _NO_WAIT, self.directory) as found:
                os.fchmod(found, mode)
        except PermissionError:  # not to be read; its owner may chmod it all the same
            if not hasattr(os, "O_PATH"):  # macOS: a link has just been ruled out
                os.chmod(self.name, mode, dir_fd=self.directory.descriptor)
                return
            with _opened(self.name, os.O_PATH | _NO_LINK, self.directory) as found:
                if not stat.S_ISLNK(os.fstat(found).st_mode):
                    Path(f"/proc/self/fd/{found}").chmod(mode)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise

    def copy(self, target: "DirEntry") -> None:
        """Copy a file, link or pipe, with its mode, times and attributes, to where nothing is."""
        if self.directory.descriptor is None:
            shutil.copy2(self.path, target.path, follow_symlinks=False)
            return
        status, its = self.status(), target.directory.descriptor
        times = (status.st_atime_ns, status.st_mtime_ns)
        if stat.S_ISLNK(status.st_mode):
            text = os.readlink(self._where, dir_fd=self.directory.descriptor)
            os.symlink(text, target._where, dir_fd=its)
            os.utime(target._where, ns=times, dir_fd=its, follow_symlinks=False)
        elif stat.S_ISFIFO(status.st_mode):
            os.mkfifo(target._where, dir_fd=its)
            target.chmod(stat.S_IMODE(status.st_mode))
            os.utime(target._where, ns=times, dir_fd=its)
        else:
            self._copy_file(target)

    def _copy_file(self, target: "DirEntry") -> None:
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with (
            _opened(self.name, os.O_RDONLY | _NO_LINK | _NO_WAIT, self.directory) as source,
            _opened(target.name, new, target.directory) as copy,
            os.fdopen(source, "rb", closefd=False) as reader,
            os.fdopen(copy, "wb", closefd=False) as writer,
        ):
            shutil.copyfileobj(reader, writer, _BLOCK)
            writer.flush()
            _copy_status(source, copy)
            os.fsync(copy)

    def copy_status(self, target: "DirEntry") -> None:
        """Give another folder this one's mode, times and attributes."""
        if self.directory.descriptor is None:
            shutil.copystat(self.path, target.path)
            return
        with (
            _opened(self.name, os.O_RDONLY | _FOLDER, self.directory) as source,
            _opened(target.name, os.O_RDONLY | _FOLDER, target.directory) as copy,
        ):
            _copy_status(source, copy)


def _copy_status(source: int, copy: int) -> None:
    """Mode, times and, as far as we may, attributes, from one open file to another."""
    status = os.fstat(source)
    with suppress(AttributeError, OSError):  # not on every system
        for name in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(copy, name, os.getxattr(source, name))
    os.fchmod(copy, stat.S_IMODE(status.st_mode))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def _opened(name: str, flags: int, directory: Directory) -> Iterator[int]:
    inside = directory.descriptor is not None
    where: str | Path = name if inside else directory.path / name
    descriptor = os.open(
        where, flags | getattr(os, "O_BINARY", 0), 0o600, dir_fd=directory.descriptor
    )
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Tree:
    """A folder in which paths are found step by step, none of them through a link."""

    def __init__(
        self, root: "Path | Directory", below: bytes = b"", *, holds_git: bool = False
    ) -> None:
        """``below`` is a path from ``root`` to the folder that is meant.

        Unless it ``holds_git``, no step may be called ``.git``.
        """
        self.path = (root if isinstance(root, Path) else root.path) / os.fsdecode(below)
        self._root = root
        self._below = below
        self._holds_git = holds_git
        self._held: Directory | None = None
        self._recent: dict[bytes, Directory] = {}

    def forget(self) -> None:
        """Let go of what is held open below the top: folders are found anew by their paths."""
        self._recent.clear()

    def folder(self, path: bytes) -> Directory:
        """The folder at a path, empty for the top.

        Raises UnsafeToContinue for a path that could lead outside, FileNotFoundError, and
        NotADirectoryError where a step is a link or a file.
        """
        if not path:
            # Held for good: by its path another folder might be found, should it become a link.
            self._held = self._held or self._top()
            return self._held
        if path not in self._recent:
            found = self.folder(b"")
            for name in self._steps(path):
                found = found.enter(os.fsdecode(name))
            while len(self._recent) >= _RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[path] = found
        return self._recent[path]

    def entry(self, path: bytes) -> DirEntry:
        """The name that a path ends with, in its folder. Raises as ``folder`` does."""
        self._steps(path)
        above, _, name = path.rpartition(b"/")
        return self.folder(above).entry(os.fsdecode(name))

    def make_folder(self, path: bytes, mode: int = 0o700) -> Directory:
        """The folder at a path, made with those above it where it is missing."""
        found = self.folder(b"")
        for name in map(os.fsdecode, self._steps(path)):
            with suppress(FileExistsError):
                found.entry(name).make_folder(mode)
            found = found.enter(name)
        return found

    def _top(self) -> Directory:
        found = Directory.open(self._root) if isinstance(self._root, Path) else self._root
        for name in self._below.split(b"/") if self._below else ():
            found = found.enter(os.fsdecode(name))
        return found

    def _steps(self, path: bytes) -> list[bytes]:
        if not is_inside(path, holds_git=self._holds_git):
            raise UnsafeToContinue(
                f"The path {os.fsdecode(path)!r} leads out of {self.path}, or into git's own"
                " folder. Nothing is written there.",
            )
        return path.split(b"/")


def is_inside(path: bytes, *, holds_git: bool = False) -> bool:
    """Whether a path stays below the folder that it starts from, and (or ``holds_git``) out of
    every ``.git`` there.
    """
    names = path.split(b"/")
    if any(name in _OUTSIDE or b"\0" in name for name in names):
        return False
    if os.name == "nt" and (b"\\" in path or b":" in path):  # steps and drives there
        return False
    return holds_git or all(_FOLD(name) != b".git" for name in names)


# Where names differ by case a folder called .GIT is one like any other.
_FOLD: Callable[[bytes], bytes] = bytes.lower if sys.platform in ("darwin", "win32") else bytes
