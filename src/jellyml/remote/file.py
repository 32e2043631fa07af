"""A remote file, read by ranges. What was fetched is cached, so that no byte is fetched twice."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jellyml.budget import Budget
from jellyml.errors import JellyError
from jellyml.formats.signatures import Use, suffixes
from jellyml.formats.source import ByteSource, OpenFile, OverBudget
from jellyml.remote.address import Remote

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# A caller that reads a long record often reads the bytes after it next: the manifest follows the
# code.
_LONG, _AND_MORE = 4 << 10, 32 << 10
_MOST_REQUESTS = 200  # of a file that is read within a budget


@dataclass(frozen=True, slots=True)
class Policy:
    """How much one request fetches, and how much is cached."""

    block: int  # bytes; one request fetches at least as many
    retained: int  # bytes
    in_order: bool  # fetch whole blocks, for a caller that reads the file from start to end


# A smaller answer takes as long as one of 64 KiB.
SEARCH = Policy(block=64 << 10, retained=256 << 20, in_order=False)
# The first block, and one for each of the two threads that read the file.
ARRAYS = Policy(block=1 << 20, retained=3 << 20, in_order=True)


class Ranges(Protocol):
    """A file that is read by ranges. Both methods raise NoSnapshot, JellyError."""

    def first(self, size: int, *, tail: bool) -> tuple[int, bytes, int]:
        """Return the file's first or last bytes: their offset, the bytes, and the file's size."""
        ...

    def read(self, start: int, stop: int) -> bytes: ...


class RemoteFile:
    """A file at an address. ``requests`` and ``fetched`` count what it took to read it.

    The first request is made at once. Raises NoSnapshot if there is no file, JellyError.
    """

    def __init__(
        self, remote: Remote, policy: Policy = SEARCH, budget: Budget | None = None
    ) -> None:
        self.budget = budget or Budget.of_library()
        self.remote = remote
        self.policy = policy
        self.lock = threading.Lock()
        self._ranges = ranges_of(remote)
        ends_first = not remote.name.lower().endswith(suffixes(Use.HEAD_FIRST))
        tail = ends_first and not policy.in_order
        start, data, self.size = self._ranges.first(policy.block, tail=tail)
        self._pieces = [(start, data)]
        self.requests, self.fetched = 1, len(data)

    def __str__(self) -> str:
        return str(self.remote)

    def open(self) -> OpenFile:
        return _OpenRemoteFile(self)

    def same_as(self, other: ByteSource) -> bool:
        return isinstance(other, RemoteFile) and other.remote == self.remote

    def cached(self, offset: int) -> tuple[int, bytes] | None:
        """Return the piece that has the byte at this offset, and where the piece begins."""
        for start, data in reversed(self._pieces):
            if start <= offset < start + len(data):
                return start, data
        return None

    def next_piece(self, offset: int) -> int:
        """Return where the next cached piece begins, or the end of the file."""
        return min([self.size, *(start for start, _ in self._pieces if start > offset)])

    def fetch(self, start: int, stop: int) -> tuple[int, bytes]:
        """Fetch a piece and cache it. The first piece stays cached. Raises JellyError."""
        data = self._ranges.read(start, stop)
        if len(data) != stop - start:
            raise JellyError("The server sent less than was requested.", "try again.")
        self.requests, self.fetched = self.requests + 1, self.fetched + len(data)
        self.budget.read(len(data))
        self._pieces.append((start, data))
        while len(self._pieces) > 2 and sum(map(_size, self._pieces)) > self.policy.retained:
            del self._pieces[1]
        return start, data


class _OpenRemoteFile(OpenFile):
    """Only unexpected bytes are charged: what a search fetches to find the snapshot."""

    is_remote = True

    def __init__(self, source: RemoteFile) -> None:
        self._source = source
        self.budget = source.budget
        self._offset = 0
        self._expected = range(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._offset = max(0, (0, self._offset, self._source.size)[whence] + offset)
        return self._offset

    def tell(self) -> int:
        return self._offset

    def read(self, size: int | None = -1, /) -> bytes:
        """Return as many bytes as requested, or fewer at the end of the file."""
        left = max(0, self._source.size - self._offset)
        data = bytearray(left if size is None or size < 0 else min(size, left))
        view = memoryview(data)
        while view:
            view = view[self.readinto(view) :]
        return bytes(data)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read up to the end of a cached piece."""
        view = memoryview(buffer).cast("B")
        stop = min(self._source.size, self._offset + len(view))
        if self._offset >= stop:
            return 0
        start, data = self._piece(stop)
        part = memoryview(data)[self._offset - start : stop - start]
        view[: len(part)] = part
        self._offset += len(part)
        return len(part)

    def expect(self, offset: int, size: int) -> None:
        stop = min(self._source.size, offset + size)
        if not self._expected.start <= offset <= stop <= self._expected.stop:
            self._expected = range(offset, stop)

    def is_cached(self, offset: int, size: int) -> bool:
        piece = self._source.cached(offset)
        return piece is not None and offset + size <= piece[0] + len(piece[1])

    def _piece(self, stop: int) -> tuple[int, bytes]:
        with self._source.lock:
            return self._source.cached(self._offset) or self._source.fetch(*self._request(stop))

    def _request(self, stop: int) -> tuple[int, int]:
        """Return the range to fetch for a read that ends at ``stop``. Raises OverBudget."""
        start, block = self._offset, self._source.policy.block
        if self._source.policy.in_order:
            start -= start % block
            return start, min(start + block, self._source.size)
        expected = start in self._expected
        stop = max(stop, self._expected.stop if expected else start + block)
        if expected and stop - start >= _LONG:
            stop += _AND_MORE
        stop = min(stop, start + self.at_once, self._source.next_piece(start))
        self.charge(0 if expected else stop - start)
        if self.left is not None and self._source.requests >= _MOST_REQUESTS:
            raise OverBudget
        return start, stop


def _size(piece: tuple[int, bytes]) -> int:
    return len(piece[1])


def ranges_of(remote: Remote) -> Ranges:
    """Return the ranges of a file: by HTTP, or by fsspec for the other schemes."""
    if remote.url:
        from jellyml.remote.http import Http

        return Http(remote)
    from jellyml.remote.fsspec import FileSystem

    return FileSystem(remote)
