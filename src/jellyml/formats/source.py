"""A file to read bytes from, on disk or remote, and what it gives when it is opened."""

import io
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from jellyml.budget import Budget

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class OverBudget(Exception):
    """More bytes would be read of one file than its reader allows."""


class NotAFile(OSError):
    """The path is a folder, a pipe or a device."""


class OpenFile(io.RawIOBase, BinaryIO):
    """A file opened by its ``ByteSource``. Its readers charge ``budget``, that of the command."""

    budget: Budget
    name: str = ""  # FileIO assigns it; the one of BinaryIO is a property
    is_remote = False
    left: int | None = None  #: how many bytes of this file may still be read; None is no limit
    at_once = 32 << 20  #: bytes; one request fetches at most as many

    def charge(self, size: int) -> None:
        """Charge bytes to ``left``. Raises OverBudget."""
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

    @property
    def budget(self) -> Budget: ...

    def open(self) -> OpenFile:
        """Open it at its first byte. Raises OSError, JellyError."""
        ...

    def same_as(self, other: "ByteSource") -> bool:
        """Return whether both are the same file."""
        ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on disk."""

    path: Path
    budget: Budget = field(default_factory=Budget.of_library, compare=False, repr=False)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def open(self) -> OpenFile:
        """Open it unbuffered. Raises NotAFile, OSError."""
        if not stat.S_ISREG(self.path.stat().st_mode):  # opening a pipe would block
            raise NotAFile
        file = _OpenLocalFile(self.path)
        file.budget = self.budget
        return file

    def same_as(self, other: ByteSource) -> bool:
        if not isinstance(other, LocalFile):
            return False
        return self.path == other.path or self.path.samefile(other.path)


class _OpenLocalFile(OpenFile, io.FileIO):
    def read(self, size: int | None = -1, /) -> bytes:
        data = io.FileIO.read(self, size) or b""
        self._charge_both(len(data))
        return data

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = io.FileIO.readinto(self, buffer) or 0
        self._charge_both(count)
        return count

    def _charge_both(self, size: int) -> None:
        self.budget.read(size)
        self.charge(size)


def budget_of(file: BinaryIO) -> Budget:
    """Return the budget that the readers of this file charge."""
    return file.budget if isinstance(file, OpenFile) else Budget.of_library()
