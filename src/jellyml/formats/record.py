"""A stretch of a file that may be ours, read a little at a time."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

CHUNK = 1 << 20
# A git pack is compressed already: a filling that was deflated on top of that shrinks by a few
# parts in a hundred, mostly its padding. What would unfold further than this is a bomb.
_MOST_UNFOLDING = 32


@dataclass(frozen=True, slots=True)
class Kind:
    """What is looked for: the key it is saved under, and the bytes it begins with."""

    key: str
    magic: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's bytes lie in its file. ``size`` is what they take up there."""

    offset: int
    size: int
    deflated: bool = False

    @property
    def most(self) -> int:
        """The most bytes this record can give."""
        return self.size * _MOST_UNFOLDING if self.deflated else self.size

    def chunks(self, file: BinaryIO, limit: int | None = None) -> Iterator[bytes]:
        """The first ``limit`` bytes, or all, at most 1 MiB at a time.

        Fewer come when the file ends early or the deflated data breaks off.
        """
        left = self.most if limit is None else min(limit, self.most)
        source = self._inflated(file, left) if self.deflated else self._raw(file, left)
        for chunk in source:
            if left <= 0:
                return
            yield chunk[:left]
            left -= len(chunk)

    def part(self, offset: int, size: int) -> "Record | None":
        """These bytes of it; None where they do not lie in it, or only inflating could tell."""
        if self.deflated:
            return self if offset == 0 else None
        inside = 0 <= offset <= offset + size <= self.size
        return Record(self.offset + offset, size) if inside else None

    def head(self, file: BinaryIO, size: int) -> bytes:
        return b"".join(self.chunks(file, size))

    def _raw(self, file: BinaryIO, wanted: int) -> Iterator[bytes]:
        end = min(self.size, wanted)
        for start in range(0, end, CHUNK):
            chunk = read_at(file, self.offset + start, min(CHUNK, end - start))
            if not chunk:
                return
            yield chunk

    def _inflated(self, file: BinaryIO, wanted: int) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        step = min(CHUNK, max(512, wanted))
        try:
            for start in range(0, self.size, step):
                packed = read_at(file, self.offset + start, min(step, self.size - start))
                while not inflate.eof:
                    chunk = inflate.decompress(packed, CHUNK)
                    yield chunk
                    packed = inflate.unconsumed_tail
                    if len(chunk) < CHUNK:  # a full one may have more waiting behind it
                        break
        except zlib.error:
            return


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """``size`` bytes from ``offset`` on; fewer only where the file ends."""
    file.seek(offset)
    data = file.read(size)
    while data and len(data) < size and (more := file.read(size - len(data))):
        data += more  # a raw file may give less than was asked for
    return data


def size_of(file: BinaryIO) -> int:
    return file.seek(0, 2)
