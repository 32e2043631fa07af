"""An array that is not read: what it is called, what it is, where it lies."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING, BinaryIO

from jellyml.tensors.byte_range import ByteRange, Unreadable, shorter, swapped
from jellyml.tensors.dtypes import DType
from jellyml.tensors.strides import is_dense, pieces

if TYPE_CHECKING:
    from typing import Any

    import numpy

NOT_THERE = "its bytes are not in the file"  #: a flaw: cut off, or a header that lies
# Held whole where elements lie in another order than their indices in what is deflated.
_MOST_HELD = 16 << 20

# What two of them take stays in a processor's cache.
_BLOCK = 512 << 10


@dataclass(frozen=True, slots=True, eq=False)
class LazyArray:
    """An array of a checkpoint. ``==`` and ``digest`` are exact; a tolerance there is nowhere.

    ``strides`` are in elements, None where the elements lie one behind the other in the order
    of their indices. ``flaw`` says why it cannot be read; everything that reads then raises.
    """

    name: str
    shape: tuple[int, ...]
    type: DType
    stretch: ByteRange | None
    strides: tuple[int, ...] | None = None
    flaw: str = ""
    known_digest: str | None = field(default=None, repr=False)  # if it was made already

    __hash__ = None  # type: ignore[assignment]  # two that are equal need not be read alike

    def __repr__(self) -> str:
        return f"<LazyArray {self.name!r} {self.dtype} {self.shape}>"

    @property
    def dtype(self) -> str:
        """``float32``, ``bfloat16``, ``float8_e4m3fn``, ``Q4_K``, ..."""
        return self.type.name

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """What they take, each once, in bytes."""
        return self.type.bytes_of(self.size)

    def chunks(self) -> Iterator[bytes]:
        """The elements in the order of their indices, in little-endian bytes, some MB at a time.

        Raises Unreadable.
        """
        stretch = self.placed()
        if self.strides is None:
            yield from stretch.chunks()
        elif stretch.packed is not None:
            data = b"".join(stretch.chunks())
            yield from pieces(
                lambda at, size: data[at : at + size], self.type.size, self.shape, self.strides
            )
        else:
            yield from self._strided(stretch, self.strides)

    def read(self) -> bytes:
        """All of ``chunks`` together."""
        return b"".join(self.chunks())

    @property
    def digest(self) -> str:
        """SHA-256 of what ``chunks`` gives, in 64 digits; read once. Raises Unreadable."""
        if self.known_digest is None:
            made = hashlib.sha256()
            for chunk in self.chunks():
                made.update(chunk)
            object.__setattr__(self, "known_digest", made.hexdigest())
        assert self.known_digest
        return self.known_digest

    def __eq__(self, other: object) -> bool:
        """Whether shape, type and every bit are the same; read only where that has to be."""
        if not isinstance(other, LazyArray):
            return NotImplemented
        return same(self, other)

    def numpy(self) -> "numpy.ndarray[Any, Any]":
        """The array for numpy: a view of the file where it can be mapped. Extra ``weights``.

        Raises Unreadable, and JellyError for a type that numpy has not.
        """
        from jellyml.tensors.to_numpy import array

        return array(self)

    def placed(self) -> ByteRange:
        """Where the bytes lie. Raises Unreadable where they cannot be had."""
        if self.stretch is None or self.flaw:
            raise Unreadable(
                f"The array {self.name!r} cannot be read: {self.flaw or 'it is empty'}."
            )
        if self.strides is not None and self.stretch.packed and self.stretch.size > _MOST_HELD:
            raise Unreadable(f"The array {self.name!r} is a compressed view, and large.")
        return self.stretch

    def _strided(self, stretch: ByteRange, strides: tuple[int, ...]) -> Iterator[bytes]:
        with stretch.open() as file:
            for piece in pieces(
                lambda at, size: stretch.read(file, at, size), self.type.size, self.shape, strides
            ):
                yield swapped(piece, stretch.swap) if stretch.swap > 1 else piece


def same(one: "LazyArray", other: "LazyArray") -> bool:
    """Shape and type first, then what needs no reading, then the bytes. Raises Unreadable."""
    if one.shape != other.shape or one.type != other.type:
        return False
    if one.known_digest and other.known_digest:
        return one.known_digest == other.known_digest
    if one.size == 0:
        return True
    return same_place(one, other) or _same_bytes(one, other)


def same_place(one: "LazyArray", other: "LazyArray") -> bool:
    """Whether both are the same bytes of the same file: then there is nothing to compare."""
    mine, theirs = one.placed(), other.placed()
    if one.strides != other.strides or (mine.offset, mine.size, mine.packed, mine.skip) != (
        theirs.offset,
        theirs.size,
        theirs.packed,
        theirs.skip,
    ):
        return False
    return mine.swap == theirs.swap and mine.source.same_as(theirs.source)


def aligned(one: "LazyArray", other: "LazyArray") -> bool:
    """Whether equal elements lie at equal places of both stretches, and nothing else does."""
    if not (one.placed().plain and other.placed().plain):
        return False
    if one.strides == other.strides:
        return one.strides is None or is_dense(one.shape, one.strides)
    return False


def _same_bytes(one: "LazyArray", other: "LazyArray") -> bool:
    if aligned(one, other):
        return all(mine == theirs for mine, theirs in blocks(one.placed(), other.placed()))
    mine, theirs = rechunked(one.chunks()), rechunked(other.chunks())
    return all(left == right for left, right in zip_longest(mine, theirs))


def blocks(
    one: ByteRange, other: ByteRange, block: int = _BLOCK
) -> Iterator[tuple[bytearray, bytearray]]:
    """The bytes of two stretches of one size, as they lie, in two buffers used again and again.

    What is behind the end of the last block is alike in both.
    """
    block = min(block, one.size)
    mine, theirs = bytearray(block), bytearray(block)
    views = memoryview(mine), memoryview(theirs)
    with one.open() as left, other.open() as right:
        left.seek(one.offset)
        right.seek(other.offset)
        for start in range(0, one.size, block):
            size = min(block, one.size - start)
            if size < block:
                mine[size:] = theirs[size:] = bytes(block - size)
            _fill(left, views[0][:size], one)
            _fill(right, views[1][:size], other)
            yield mine, theirs


def rechunked(pieces: Iterator[bytes], size: int = _BLOCK) -> Iterator[bytes]:
    """The same bytes in pieces of one size, but for the last."""
    held = b""
    for piece in pieces:
        held = held + piece if held else piece
        if len(held) >= size:
            whole = len(held) // size * size
            for start in range(0, whole, size):
                yield held[start : start + size]
            held = held[whole:]
    if held:
        yield held


def _fill(file: BinaryIO, view: memoryview, stretch: ByteRange) -> None:
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise shorter(stretch.source)
        view = view[count:]
