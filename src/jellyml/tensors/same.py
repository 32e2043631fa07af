"""Whether two arrays are the same to the bit, reading no more than has to be read."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, BinaryIO

from jellyml.tensors import layout
from jellyml.tensors.stretch import Stretch, shorter

if TYPE_CHECKING:
    from jellyml.tensors.lazy_array import LazyArray

# What two of them take stays in a processor's cache.
_BLOCK = 512 << 10


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
    return mine.swap == theirs.swap and (
        mine.path == theirs.path or mine.path.samefile(theirs.path)
    )


def aligned(one: "LazyArray", other: "LazyArray") -> bool:
    """Whether equal elements lie at equal places of both stretches, and nothing else does."""
    if not (one.placed().plain and other.placed().plain):
        return False
    if one.strides == other.strides:
        return one.strides is None or layout.is_dense(one.shape, one.strides)
    return False


def _same_bytes(one: "LazyArray", other: "LazyArray") -> bool:
    if aligned(one, other):
        return all(mine == theirs for mine, theirs in blocks(one.placed(), other.placed()))
    mine, theirs = rechunked(one.chunks()), rechunked(other.chunks())
    return all(left == right for left, right in zip_longest(mine, theirs))


def blocks(
    one: Stretch, other: Stretch, block: int = _BLOCK
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


def _fill(file: BinaryIO, view: memoryview, stretch: Stretch) -> None:
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise shorter(stretch.path)
        view = view[count:]
