"""Where the bytes of an array lie: a stretch of a file, plain or deflated."""

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
    """The bytes of an array are not where they are said to be, or cannot be had."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """``size`` bytes of a file from ``offset`` on.

    ``packed`` bytes of the file, deflated, give them, where that is not None; ``skip`` come
    before them in what those give. ``swap`` is the width of what stands in big-endian order.
    """

    source: ByteSource
    offset: int
    size: int
    packed: int | None = None
    skip: int = 0
    swap: int = 1

    @property
    def plain(self) -> bool:
        """Whether the bytes of the file are the bytes of the array."""
        return self.packed is None and self.swap == 1

    def open(self) -> BinaryIO:
        """The file, unbuffered."""
        try:
            return self.source.open()
        except OSError as problem:
            raise Unreadable(f"{self.source} could not be read: {problem.strerror}.") from None

    def chunks(self) -> Iterator[bytes]:
        """All of its bytes in little-endian order, at most 1 MiB at a time."""
        with self.open() as file:
            for chunk in self._raw(file) if self.packed is None else self._inflated(file):
                yield swapped(chunk, self.swap) if self.swap > 1 else chunk

    def read(self, file: BinaryIO, start: int, size: int) -> bytes:
        """Some of its bytes, as they lie; only of what is not deflated."""
        data = read_at(file, self.offset + start, size)
        if len(data) < size:
            raise shorter(self.source)
        return data

    def _raw(self, file: BinaryIO) -> Iterator[bytes]:
        for start in range(0, self.size, CHUNK):
            yield self.read(file, start, min(CHUNK, self.size - start))

    def _inflated(self, file: BinaryIO) -> Iterator[bytes]:
        """Cut to whole chunks, so that no element is torn."""
        held, skip, left = b"", self.skip, self.size
        for piece in self._pieces(file):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            held += piece[skip:]
            skip = 0
            while len(held) >= CHUNK and left:
                chunk, held = held[: min(CHUNK, left)], held[CHUNK:]
                left -= len(chunk)
                yield chunk
            if len(held) >= left:
                break
        if len(held) < left:
            raise shorter(self.source)
        if left:
            yield held[:left]

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        assert self.packed is not None
        try:
            for start in range(0, self.packed, CHUNK):
                size = min(CHUNK, self.packed - start)
                piece = inflate.decompress(self.read(file, start, size), CHUNK)
                while piece:
                    yield piece
                    piece = inflate.decompress(inflate.unconsumed_tail, CHUNK)
        except zlib.error:
            raise Unreadable(f"What is compressed in {self.source} is damaged.") from None


def swapped(chunk: bytes, width: int) -> bytes:
    """The same numbers in the other order of bytes."""
    numbers = array(_TYPECODES[width], chunk)
    numbers.byteswap()
    return numbers.tobytes()


def shorter(source: ByteSource) -> Unreadable:
    return Unreadable(f"{source} ends before an array in it does.", "get the file again.")
