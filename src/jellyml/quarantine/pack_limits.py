"""Check a pack in transit: would it unpack to more than the limits allow?

For systems that cannot limit another process. Idea: parse the pack's entries while they pass.
Invariant: a piece is passed on only after every entry that begins in it was found small enough.
"""

import zlib
from collections.abc import Generator, Iterable, Iterator

from jellyml.errors import BadSnapshot
from jellyml.quarantine.tree_check import takes_too_much

_BLOB, _OFS_DELTA, _REF_DELTA = 3, 6, 7
_STREAMED = 16 << 20  # git does not hold a larger blob in memory (core.bigFileThreshold)
_RECORD = 160  # bytes that git holds for each object
_SMALLEST = 9  # minimum bytes of an entry: its kind and size, and an empty zlib stream
_TWO_SIZES = 20  # maximum bytes of the two numbers at the front of a delta
_GIVEN, _TAKEN = 1 << 12, 1 << 16  # bytes to and from zlib at a time


def watched(
    pack: Iterable[bytes], size: int, object_format: str, *, memory: int, work: int
) -> Iterator[bytes]:
    """Yield the same pieces, or raise BadSnapshot before the first harmful one.

    ``size`` is the size of the pack. ``memory`` bounds what git holds at a time, ``work`` the
    total size of all objects.
    """
    reader = _Walk(32 if object_format == "sha256" else 20, memory, work).read(size)
    next(reader)
    for piece in pack:
        reader.send(piece)
        yield piece


class _Walk:
    """A parser of a pack that arrives in pieces: each ``yield`` receives the next piece."""

    def __init__(self, id_width: int, memory: int, work: int) -> None:
        self.id_width = id_width
        self.memory = memory
        self.work = work
        self.piece = b""
        self.at = 0

    def read(self, size: int) -> Generator[None, bytes, None]:
        head = yield from self._take(12)
        count = int.from_bytes(head[8:], "big")
        if head[:4] != b"PACK" or count > size // _SMALLEST:
            raise _damaged()
        if count * _RECORD > self.memory:
            raise takes_too_much()
        for _ in range(count):
            yield from self._entry()
        while True:  # index-pack checks the checksum
            yield

    def _entry(self) -> Generator[None, bytes, None]:
        kind, size = yield from self._kind_and_size()
        if kind != _BLOB or size <= _STREAMED:
            self._hold(size)
        self._unpack(size)
        if kind == _REF_DELTA:
            yield from self._take(self.id_width)
        elif kind == _OFS_DELTA:
            yield from self._number()
        start = yield from self._inflate(size)
        if kind in (_OFS_DELTA, _REF_DELTA):
            base, result = _two_sizes(start)
            self._hold(base)
            self._hold(result)
            self._unpack(result)

    def _hold(self, size: int) -> None:
        if size > self.memory // 3:  # a delta, its base and its result
            raise takes_too_much()

    def _unpack(self, size: int) -> None:
        self.work -= size
        if self.work < 0:
            raise takes_too_much()

    def _kind_and_size(self) -> Generator[None, bytes, tuple[int, int]]:
        first = (yield from self._take(1))[0]
        more = (yield from self._number()) if first & 128 else 0
        return first >> 4 & 7, first & 15 | more << 4

    def _number(self) -> Generator[None, bytes, int]:
        value = shift = 0
        byte = 128
        while byte & 128:
            byte = (yield from self._take(1))[0]
            value |= (byte & 127) << shift
            shift += 7
            if shift > 70:
                raise _damaged()
        return value

    def _inflate(self, size: int) -> Generator[None, bytes, bytes]:
        """Skip one zlib stream of ``size`` bytes; return its first bytes."""
        stream = zlib.decompressobj()
        start, done = b"", 0
        while not stream.eof:
            if self.at == len(self.piece):
                yield from self._more()
            compressed = self.piece[self.at : self.at + _GIVEN]
            try:
                out = stream.decompress(compressed, _TAKEN)
            except zlib.error:
                raise _damaged() from None
            # At the end, Python may report the same bytes in both attributes.
            self.at += len(compressed) - len(stream.unused_data or stream.unconsumed_tail)
            start += out[: _TWO_SIZES - len(start)]
            done += len(out)
            if done > size:
                raise _damaged()
        return start

    def _take(self, count: int) -> Generator[None, bytes, bytes]:
        while len(self.piece) - self.at < count:
            yield from self._more()
        self.at += count
        return self.piece[self.at - count : self.at]

    def _more(self) -> Generator[None, bytes, None]:
        piece = yield
        self.piece, self.at = self.piece[self.at :] + piece, 0


def _two_sizes(delta: bytes) -> tuple[int, int]:
    """Return the size of a delta's base, and of its result."""
    sizes, value, shift = [], 0, 0
    for byte in delta:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            sizes.append(value)
            value = shift = 0
    if len(sizes) < 2:
        raise _damaged()
    return sizes[0], sizes[1]


def _damaged() -> BadSnapshot:
    return BadSnapshot("The bundle in this checkpoint is damaged.")
