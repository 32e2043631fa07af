"""A file to read bytes from, on disk or remote, and what it gives when it is opened."""

import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class OverBudget(Exception):
    """More bytes would be read than the budget of the open file allows."""


class NotAFile(OSError):
    """The path is a folder, a pipe or a device."""


class OpenFile(io.RawIOBase, BinaryIO):
    """A file opened by its ``ByteSource``."""

    name: str = ""  # FileIO assigns it; the one of BinaryIO is a property
    is_remote = False
    left: int | None = None  #: the budget: how many bytes may still be read; None is no limit
    at_once = 32 << 20  #: bytes; one request fetches at most as many

    def charge(self, size: int) -> None:
        """Charge bytes to the budget. Every read does this. Raises OverBudget."""
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise OverBudget

    def expect(self, offset: int, size: int) -> None:
        """Announce a read, so that one request fetches all of these bytes."""

    def is_cached(self, offset: int, size: int) -> bool:
        """Return whether these bytes can be read without a request."""
        return True


class ByteSource(Protocol):
    """A file that can be opened several times. ``str`` returns its name for messages."""

    @property
    def size(self) -> int: ...

    def open(self) -> OpenFile:
        """Open it at its first byte, without a budget. Raises OSError, JellyError."""
        ...

    def same_as(self, other: "ByteSource") -> bool:
        """Return whether both are the same file."""
        ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def open(self) -> OpenFile:
        """Open it unbuffered. Raises NotAFile, OSError."""
        if not stat.S_ISREG(self.path.stat().st_mode):  # opening a pipe would block
            raise NotAFile
        return _OpenLocalFile(self.path)

    def same_as(self, other: ByteSource) -> bool:
        if not isinstance(other, LocalFile):
            return False
        return self.path == other.path or self.path.samefile(other.path)


class _OpenLocalFile(OpenFile, io.FileIO):
    def read(self, size: int | None = -1, /) -> bytes:
        data = io.FileIO.read(self, size) or b""
        self.charge(len(data))
        return data

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = io.FileIO.readinto(self, buffer) or 0
        self.charge(count)
        return count
