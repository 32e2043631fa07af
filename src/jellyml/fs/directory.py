"""Directory handles: operations that stay inside a directory, whatever happens to its path.

Idea: open a path step by step with openat(2) and O_NOFOLLOW, and act on descriptors.
Invariant: no step follows a symbolic link, even one that another process creates meanwhile, so
nothing outside is reached. Windows has no directory descriptors: each step is checked before
it is taken.
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
# Enough to act in a folder. Without O_PATH, a folder that may be entered but not listed fails.
_SEARCH = _FOLDER | getattr(os, "O_PATH", os.O_RDONLY)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # do not block on a pipe
_NOT_A_FOLDER = (errno.ENOTDIR, errno.ELOOP)
_OUTSIDE = (b"", b".", b"..")
_BLOCK = 1 << 20
_RECENT = 4  # open folders to cache: consecutive moves are usually close together


class Directory:
    """A directory that stays open for the lifetime of this object."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path  # for messages, and for systems without descriptors
        self.descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> "Directory":
        """Open a directory; links in ``path`` itself are followed. Raises OSError."""
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
        """Open a subdirectory. Raises FileNotFoundError, and NotADirectoryError also for a link."""
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
        """Return the sorted names of its entries."""
        if self.descriptor is None:
            return sorted(os.listdir(self.path))  # noqa: PTH208
        with _opened(".", os.O_RDONLY, self) as readable:
            return sorted(os.listdir(readable))  # noqa: PTH208 (a descriptor)

    def sync(self) -> None:
        """Sync the renames in it. Does nothing where folders cannot be opened (Windows)."""
        if self.descriptor is not None:
            with _opened(".", os.O_RDONLY, self) as readable:
                os.fsync(readable)


@dataclass(frozen=True, slots=True)
class DirEntry:
    """A name in a directory, existing or not. No method follows a symbolic link."""

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
        """Return True for a folder, False for a link to one."""
        with suppress(FileNotFoundError):
            return stat.S_ISDIR(self.status().st_mode)
        return False

    def enter(self) -> Directory:
        return self.directory.enter(self.name)

    def touch(self) -> None:
        """Create an empty file if there is none. Raises OSError for a link."""
        with _opened(self.name, os.O_WRONLY | os.O_CREAT | _NO_LINK, self.directory):
            pass

    def make_folder(self, mode: int = 0o777) -> None:
        os.mkdir(self._where, mode, dir_fd=self.directory.descriptor)

    def remove_folder(self) -> None:
        os.rmdir(self._where, dir_fd=self.directory.descriptor)

    def unlink(self) -> None:
        os.unlink(self._where, dir_fd=self.directory.descriptor)

    def rename(self, target: "DirEntry") -> None:
        """Rename, and replace an existing target. Raises OSError; EXDEV for another file system."""
        mine, its = self.directory.descriptor, target.directory.descriptor
        os.replace(self._where, target._where, src_dir_fd=mine, dst_dir_fd=its)

    def rename_new(self, target: "DirEntry") -> bool:
        """Rename atomically to a free name. False if unsupported. Raises FileExistsError."""
        return self._rename_at(target, rename.NO_REPLACE)

    def exchange(self, target: "DirEntry") -> bool:
        """Exchange two entries atomically, so neither is ever missing. False if unsupported."""
        return self._rename_at(target, rename.EXCHANGE)

    def _rename_at(self, target: "DirEntry", flags: int) -> bool:
        mine, its = self.directory.descriptor, target.directory.descriptor
        if mine is None or its is None:
            return False
        return rename.rename_at((mine, self.name), (its, target.name), flags)

    def link(self, target: "DirEntry") -> None:
        """Create a hard link. Raises OSError."""
        mine, its = self.directory.descriptor, target.directory.descriptor
        os.link(self._where, target._where, src_dir_fd=mine, dst_dir_fd=its, follow_symlinks=False)

    def chmod(self, mode: int) -> None:
        """Set the mode of a file or folder. A symbolic link has no mode and is skipped."""
        if self.directory.descriptor is None:
            self.path.chmod(mode)
            return
        try:
            with _opened(
                self.name, os.O_RDONLY | _NO_LINK | _NO_WAIT, self.directory
            ) as descriptor:
                os.fchmod(descriptor, mode)
        except PermissionError:  # not readable, but its owner may still change the mode
            if not hasattr(os, "O_PATH"):  # macOS: the open above has ruled out a link
                os.chmod(self.name, mode, dir_fd=self.directory.descriptor)
                return
            with _opened(self.name, os.O_PATH | _NO_LINK, self.directory) as descriptor:
                if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                    Path(f"/proc/self/fd/{descriptor}").chmod(mode)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):  # a link, a socket
                raise

    def copy(self, target: "DirEntry") -> None:
        """Copy a file, link or pipe with mode, times and attributes to a free name."""
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
        """Copy this folder's mode, times and attributes to another folder."""
        if self.directory.descriptor is None:
            shutil.copystat(self.path, target.path)
            return
        with (
            _opened(self.name, os.O_RDONLY | _FOLDER, self.directory) as source,
            _opened(target.name, os.O_RDONLY | _FOLDER, target.directory) as copy,
        ):
            _copy_status(source, copy)


def _copy_status(source: int, copy: int) -> None:
    """Copy mode, times and, if permitted, attributes between two open files."""
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
    """A folder whose paths are opened step by step, never through a link."""

    def __init__(
        self, root: "Path | Directory", below: bytes = b"", *, holds_git: bool = False
    ) -> None:
        """``below`` is the path from ``root`` to the folder that is opened.

        Unless ``holds_git`` is set, no step may be named ``.git``.
        """
        self.path = (root if isinstance(root, Path) else root.path) / os.fsdecode(below)
        self._root = root
        self._below = below
        self._holds_git = holds_git
        self._held: Directory | None = None
        self._recent: dict[bytes, Directory] = {}

    def forget(self) -> None:
        """Close the cached folders, so that paths are resolved again."""
        self._recent.clear()

    def folder(self, path: bytes) -> Directory:
        """Open the folder at a path; the empty path is the top.

        Raises UnsafeToContinue for a path that could lead outside, FileNotFoundError, and
        NotADirectoryError if a step is a link or a file.
        """
        if not path:
            # Never closed: if its path became a link, reopening it would reach another folder.
            self._held = self._held or self._top()
            return self._held
        if path not in self._recent:
            directory = self.folder(b"")
            for name in self._steps(path):
                directory = directory.enter(os.fsdecode(name))
            while len(self._recent) >= _RECENT:
                del self._recent[next(iter(self._recent))]
            self._recent[path] = directory
        return self._recent[path]

    def entry(self, path: bytes) -> DirEntry:
        """Return the last name of a path in its opened folder. Raises as ``folder`` does."""
        self._steps(path)
        above, _, name = path.rpartition(b"/")
        return self.folder(above).entry(os.fsdecode(name))

    def make_folder(self, path: bytes, mode: int = 0o700) -> Directory:
        """Open the folder at a path, and create missing folders on the way."""
        directory = self.folder(b"")
        for name in map(os.fsdecode, self._steps(path)):
            with suppress(FileExistsError):
                directory.entry(name).make_folder(mode)
            directory = directory.enter(name)
        return directory

    def _top(self) -> Directory:
        directory = Directory.open(self._root) if isinstance(self._root, Path) else self._root
        for name in self._below.split(b"/") if self._below else ():
            directory = directory.enter(os.fsdecode(name))
        return directory

    def _steps(self, path: bytes) -> list[bytes]:
        if not is_inside(path, holds_git=self._holds_git):
            raise UnsafeToContinue(
                f"The path {os.fsdecode(path)!r} leads out of {self.path}, or into git's own"
                " folder. Nothing is written there.",
            )
        return path.split(b"/")


def is_inside(path: bytes, *, holds_git: bool = False) -> bool:
    """Return whether a path stays below its starting folder.

    Unless ``holds_git`` is set, it must also avoid every ``.git``.
    """
    names = path.split(b"/")
    if any(name in _OUTSIDE or b"\0" in name for name in names):
        return False
    # Windows: a backslash separates steps, and a colon names a drive.
    if os.name == "nt" and (b"\\" in path or b":" in path):
        return False
    return holds_git or all(_FOLD(name) != b".git" for name in names)


# Where names are case-insensitive, a folder named .GIT is a git directory too.
_FOLD: Callable[[bytes], bytes] = bytes.lower if sys.platform in ("darwin", "win32") else bytes
