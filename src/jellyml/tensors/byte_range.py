"""The location of an array's bytes: a range of a file, plain or deflated."""

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jellyml.errors import JellyError
from jellyml.formats.record import read_at
from jellyml.formats.source import ByteSource

CHUNK = 1 << 20
_TYPECODES = {2: "H", 4: "I", 8: "Q"}


class Unreadable(JellyError):
    """The bytes of an array are not at their declared place, or not available."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``size`` bytes of a file from ``offset``.

    If ``packed`` is not None, they are deflated: inflate that many bytes of the file, and drop
    the first ``skip``. ``swap`` is the width in bytes of big-endian numbers, else 1.
    """

    source: ByteSource
    offset: int
    size: int
    packed: int | None = None
    skip: int = 0
    swap: int = 1

    @property
    def plain(self) -> bool:
        """True if the bytes of the file are the bytes of the array."""
        return self.packed is None and self.swap == 1

    def open(self) -> BinaryIO:
        """Return the file, unbuffered. Raise Unreadable."""
        try:
            return self.source.open()
        except OSError as problem:
            raise Unreadable(f"{self.source} could not be read: {problem.strerror}.") from None

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in little-endian order, at most 1 MiB at a time. Raise Unreadable."""
        with self.open() as file:
            for chunk in self._raw(file) if self.packed is None else self._inflated(file):
                yield swapped(chunk, self.swap) if self.swap > 1 else chunk

    def read(self, file: BinaryIO, start: int, size: int) -> bytes:
        """Return bytes of a range that is not deflated, in the order of the file."""
        data = read_at(file, self.offset + start, size)
        if len(data) < size:
            raise shorter(self.source)
        return data

    def _raw(self, file: BinaryIO) -> Iterator[bytes]:
        for start in range(0, self.size, CHUNK):
            yield self.read(file, start, min(CHUNK, self.size - start))

    def _inflated(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield inflated chunks of 1 MiB, so that no element is split."""
        pending, skip, left = b"", self.skip, self.size
        for piece in self._pieces(file):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            pending += piece[skip:]
            skip = 0
            while len(pending) >= CHUNK and left:
                chunk, pending = pending[: min(CHUNK, left)], pending[CHUNK:]
                left -= len(chunk)
                yield chunk
            if len(pending) >= left:
                break
        if len(pending) < left:
            raise shorter(self.source)
        if left:
            yield pending[:left]

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        assert self.packed is not None
        try:
            for start in range(0, self.packed, CHUNK):
                size = min(CHUNK, self.packed - start)
                piece = inflate.decompress(self.read(file, start, size), CHUNK)
                while piece:
                    self.source.budget.make(len(piece))
                    yield piece
                    piece = inflate.decompress(inflate.unconsumed_tail, CHUNK)
        except zlib.error:
            raise Unreadable(f"The compressed data in {self.source} is damaged.") from None


def swapped(chunk: bytes, width: int) -> bytes:
    """Return the numbers of ``width`` bytes in the other byte order."""
    numbers = array(_TYPECODES[width], chunk)
    numbers.byteswap()
    return numbers.tobytes()


def shorter(source: ByteSource) -> Unreadable:
    return Unreadable(f"{source} is cut off: it ends before an array does.", "get the file again.")
