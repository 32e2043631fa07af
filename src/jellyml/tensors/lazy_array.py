"""An array that is not read yet: its name, its type and its location."""

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

NOT_THERE = "its bytes are not in the file"  #: a flaw: the file is cut off, or its header is wrong
# Bytes. A deflated array with strides is read whole, up to this size.
_MOST_HELD = 16 << 20

# Two blocks fit in a processor's cache.
_BLOCK = 512 << 10


@dataclass(frozen=True, slots=True, eq=False)
class LazyArray:
    """An array of a checkpoint. ``==`` and ``digest`` are exact; no tolerance is applied.

    ``strides`` are in elements, None for a contiguous array in the order of its indices.
    ``flaw`` is the reason why it cannot be read; every method that reads then raises Unreadable.
    """

    name: str
    shape: tuple[int, ...]
    type: DType
    stretch: ByteRange | None
    strides: tuple[int, ...] | None = None
    flaw: str = ""
    known_digest: str | None = field(default=None, repr=False)  # if it is computed already

    __hash__ = None  # type: ignore[assignment]  # equal arrays may differ in their location

    def __repr__(self) -> str:
        return f"<LazyArray {self.name!r} {self.dtype} {self.shape}>"

    @property
    def dtype(self) -> str:
        """``float32``, ``bfloat16``, ``float8_e4m3fn``, ``Q4_K``, ..."""
        return self.type.name

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of the elements in bytes, each counted once."""
        return self.type.bytes_of(self.size)

    def chunks(self) -> Iterator[bytes]:
        """Yield the elements in the order of their indices, as little-endian bytes.

        A chunk has at most some megabytes. Raise Unreadable.
        """
        stretch = self.placed()
        if self.strides is None:
            yield from stretch.chunks()
        elif stretch.packed is not None:
            budget = stretch.source.budget
            with budget.held(2 * stretch.size):
                data = b"".join(stretch.chunks())
                yield from pieces(
                    lambda at, size: data[at : at + size],
                    *(self.type.size, self.shape, self.strides, budget),
                )
        else:
            yield from self._strided(stretch, self.strides)

    def read(self) -> bytes:
        """Return all bytes of ``chunks``. Raise Unreadable."""
        return b"".join(self.chunks())

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes of ``chunks``, as 64 hexadecimal digits. Raise Unreadable."""
        if self.known_digest is None:
            sha256 = hashlib.sha256()
            for chunk in self.chunks():
                sha256.update(chunk)
            object.__setattr__(self, "known_digest", sha256.hexdigest())
        assert self.known_digest
        return self.known_digest

    def __eq__(self, other: object) -> bool:
        """Return True if shape, type and every bit are equal; the bytes are read only if needed."""
        if not isinstance(other, LazyArray):
            return NotImplemented
        return same(self, other)

    def numpy(self) -> "numpy.ndarray[Any, Any]":
        """Return a numpy array, if possible a view of the mapped file. Extra ``weights``.

        Raise Unreadable, or JellyError if numpy is not installed or lacks the type.
        """
        from jellyml.tensors.to_numpy import array

        return array(self)

    def placed(self) -> ByteRange:
        """Return the location of the bytes. Raise Unreadable if they are not available."""
        if self.stretch is None or self.flaw:
            raise Unreadable(
                f"The array {self.name!r} cannot be read: {self.flaw or 'it is empty'}."
            )
        if self.strides is not None and self.stretch.packed and self.stretch.size > _MOST_HELD:
            raise Unreadable(
                f"The array {self.name!r} cannot be read: it is a large compressed view."
            )
        return self.stretch

    def _strided(self, stretch: ByteRange, strides: tuple[int, ...]) -> Iterator[bytes]:
        with stretch.open() as file:
            for piece in pieces(
                lambda at, size: stretch.read(file, at, size),
                *(self.type.size, self.shape, strides, stretch.source.budget),
            ):
                yield swapped(piece, stretch.swap) if stretch.swap > 1 else piece


def same(one: "LazyArray", other: "LazyArray") -> bool:
    """Return True if the arrays are equal. The bytes are compared last. Raise Unreadable."""
    if one.shape != other.shape or one.type != other.type:
        return False
    if one.known_digest and other.known_digest:
        return one.known_digest == other.known_digest
    if one.size == 0:
        return True
    return same_place(one, other) or _same_bytes(one, other)


def same_place(one: "LazyArray", other: "LazyArray") -> bool:
    """Return True if both are the same bytes of the same file."""
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
    """Return True if both have the same layout, so that their bytes can be compared in order."""
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
    """Yield blocks of two byte ranges of equal size, in two buffers that are reused.

    After the end of a shorter last block both buffers hold zeros.
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
    """Yield the same bytes in pieces of ``size`` bytes; the last may be shorter."""
    pending = b""
    for piece in pieces:
        pending = pending + piece if pending else piece
        if len(pending) >= size:
            whole = len(pending) // size * size
            for start in range(0, whole, size):
                yield pending[start : start + size]
            pending = pending[whole:]
    if pending:
        yield pending


def _fill(file: BinaryIO, view: memoryview, stretch: ByteRange) -> None:
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise shorter(stretch.source)
        view = view[count:]
