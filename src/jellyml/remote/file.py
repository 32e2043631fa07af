"""A remote file as an open one: what is read is fetched by ranges, and kept.

Who knows what is read next says so (``expect``), so that it comes in one piece.
"""

import io
import os
import stat
import threading
from collections import OrderedDict
from typing import BinaryIO, Protocol, cast

from jellyml.errors import JellyError
from jellyml.formats.signatures import Use, suffixes
from jellyml.remote.address import Remote

BLOCK = 64 << 10  # the least that is asked for: smaller answers take as long
# What is behind something long is often wanted next: the manifest, behind the code.
_LONG, _AND_MORE = 4 << 10, 32 << 10
_PIECE = 32 << 20  # the most that is asked for at once
_UNEXPECTED = 64 << 20  # as far as a file is searched that does not say where to look
_MOST_ANSWERS = 200
_KEPT = 256 << 20

_BLOCK = 1 << 20
_KEPT_BLOCKS = 4  # blocks: two threads read one file


class Ranges(Protocol):
    """A file of which parts can be had. All raise NoSnapshot or JellyError."""

    def first(self, size: int, *, tail: bool) -> tuple[int, bytes, int]:
        """Its first or last bytes: where they begin, the bytes, and the file's size."""
        ...

    def read(self, start: int, stop: int) -> bytes: ...


class TooFar(JellyError):
    """More would have to be fetched than is worth it."""


class RemoteFile(io.RawIOBase):
    """Read as any file. ``requests`` and ``fetched`` count what it took."""

    def __init__(self, remote: Remote, ranges: Ranges | None = None) -> None:
        self._ranges = ranges or ranges_of(remote)
        tail = not remote.name.lower().endswith(suffixes(Use.HEAD_FIRST))
        start, data, self.size = self._ranges.first(BLOCK, tail=tail)
        self._pieces: list[tuple[int, bytes]] = [(start, data)]
        self._window = (0, 0)
        self._at = 0
        self.left = _UNEXPECTED  #: bytes that nobody expected and may be fetched all the same
        self.most = _PIECE  #: bytes to be asked for at once
        self.requests, self.fetched = 1, len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = max(0, (0, self._at, self.size)[whence] + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """As many bytes as were asked for, and fewer only where the file ends."""
        stop = self.size if size is None or size < 0 else min(self.size, self._at + size)
        data = bytearray()
        while self._at < stop:
            piece = self._held(self._at) or self._fetched(self._at, stop)
            start, held = piece
            part = held[self._at - start : stop - start]
            data += part
            self._at += len(part)
        return bytes(data)

    def expect(self, offset: int, size: int) -> None:
        """These bytes will be read, and may come at once."""
        start, stop = self._window
        if not (start <= offset and offset + size <= stop):
            self._window = (offset, min(self.size, offset + size))

    def at_hand(self, offset: int, size: int) -> bool:
        """Whether these bytes cost nothing."""
        held = self._held(offset)
        return held is not None and offset + size <= held[0] + len(held[1])

    def _held(self, at: int) -> tuple[int, bytes] | None:
        for piece in reversed(self._pieces):
            if piece[0] <= at < piece[0] + len(piece[1]):
                return piece
        return None

    def _fetched(self, at: int, stop: int) -> tuple[int, bytes]:
        expected = self._window[0] <= at < self._window[1]
        stop = max(stop, self._window[1]) if expected else max(stop, at + BLOCK)
        if expected and stop - at >= _LONG:
            stop += _AND_MORE
        after = [start for start, _ in self._pieces if start > at]
        stop = min([stop, at + self.most, self.size, *after])
        self._count(0 if expected else stop - at)
        data = self._ranges.read(at, stop)
        if len(data) != stop - at:
            raise JellyError("The server sent less than it was asked for.", "try again.")
        self.requests, self.fetched = self.requests + 1, self.fetched + len(data)
        self._pieces.append((at, data))
        while len(self._pieces) > 2 and sum(len(each) for _, each in self._pieces) > _KEPT:
            del self._pieces[1]
        return at, data

    def _count(self, unexpected: int) -> None:
        self.left -= unexpected
        if self.left < 0 or self.requests >= _MOST_ANSWERS:
            raise TooFar("")


def ranges_of(remote: Remote) -> Ranges:
    """By HTTP, or whatever file system knows the scheme."""
    if remote.url:
        from jellyml.remote.http import Http

        return Http(remote)
    from jellyml.remote.fsspec import FileSystem

    return FileSystem(remote)


class BlockFile:
    """A remote file that stands where a path stands, as far as arrays ask for one."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._ranges = ranges_of(remote)
        self.size = self._ranges.first(1, tail=False)[2]
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._turn = threading.Lock()

    def __str__(self) -> str:
        return str(self._remote)

    def is_dir(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, self.size, 0, 0, 0))

    def samefile(self, other: object) -> bool:
        return isinstance(other, BlockFile) and other._remote == self._remote

    def open(self, *_: object, **__: object) -> BinaryIO:
        return cast("BinaryIO", _BlockReader(self))

    def block(self, number: int) -> bytes:
        with self._turn:
            if number not in self._held:
                start = number * _BLOCK
                stop = min(self.size, start + _BLOCK)
                data = self._ranges.read(start, stop)
                if len(data) != stop - start:
                    raise JellyError("The server sent less than it was asked for.", "try again.")
                self._held[number] = data
                if len(self._held) > _KEPT_BLOCKS:
                    self._held.popitem(last=False)
            self._held.move_to_end(number)
            return self._held[number]


class _BlockReader(io.RawIOBase):
    def __init__(self, file: BlockFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = max(0, (0, self._at, self._file.size)[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, view: object, /) -> int:
        """Up to the end of a block; less than was asked for is what a raw file may give."""
        room = memoryview(view).cast("B")  # type: ignore[arg-type]
        if self._at >= self._file.size or not room:
            return 0
        number, inside = divmod(self._at, _BLOCK)
        part = memoryview(self._file.block(number))[inside : inside + len(room)]
        room[: len(part)] = part
        self._at += len(part)
        return len(part)
