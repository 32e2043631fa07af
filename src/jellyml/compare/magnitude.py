"""Measure by how much two arrays differ: in elements with numpy, else in bytes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jellyml.tensors import to_numpy
from jellyml.tensors.lazy_array import LazyArray, aligned, blocks, rechunked

if TYPE_CHECKING:
    from jellyml.tensors.to_numpy import Array

# Elements of one block. Intermediate results then stay in the cache of a processor.
_ELEMENTS = 1 << 15


@dataclass(frozen=True, slots=True)
class Amount:
    """By how much two arrays differ; ``share`` of the elements or bytes, above 0, at most 1.

    ``relative`` is the norm of the change divided by ``norm``, the norm before. ``largest`` is the
    largest change of one element. These are None without numpy, for a packed type, and if an
    element is not finite before or after. ``relative`` is None also if the quotient is not finite:
    all elements were zero or too small.
    """

    share: float
    of: Literal["elements", "bytes"]
    relative: float | None = None
    largest: float | None = None
    norm: float | None = None


def amount(one: LazyArray, other: LazyArray) -> Amount:
    """Compare two arrays of one shape, and of one dtype or numeric dtypes. Raises Unreadable."""
    if to_numpy.is_here() and all(to_numpy.has_numbers(each.dtype) for each in (one, other)):
        return _in_numbers(one, other)
    return _in_bytes(one, other)


def is_comparable(one: LazyArray, other: LazyArray) -> bool:
    """Return whether ``amount`` can compare two arrays of different dtypes."""
    known = all(to_numpy.has_numbers(each.dtype) for each in (one, other))
    return one.shape == other.shape and known and to_numpy.is_here()


def _in_bytes(one: LazyArray, other: LazyArray) -> Amount:
    changed = sum(_differing(left, right) for left, right in _pairs(one, other))
    return Amount(changed / max(one.nbytes, 1), "bytes")


def _differing(one: bytes | bytearray, other: bytes | bytearray) -> int:
    """Count the bytes that differ, by XOR of two large integers, which is fast in Python."""
    if one == other:
        return 0
    difference = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return len(one) - difference.to_bytes(len(one), "little").count(0)


def _pairs(one: LazyArray, other: LazyArray) -> Iterator[tuple[bytes | bytearray, ...]]:
    """Yield the bytes of the same elements of both arrays, block by block."""
    if aligned(one, other) and one.type == other.type:
        yield from blocks(one.placed(), other.placed(), one.type.size * _ELEMENTS)
    else:
        sizes = (each.type.size * _ELEMENTS for each in (one, other))
        pieces = (each.chunks() for each in (one, other))
        yield from zip(*map(rechunked, pieces, sizes), strict=True)


class _Sums:
    """Sums over all blocks."""

    def __init__(self) -> None:
        self.changed = 0
        self.norm = self.change = self.largest = 0.0

    def add(self, before: "Array", after: "Array", differs: "Array") -> None:
        import numpy

        # Not ``dot``: for a block this small, starting BLAS threads costs more than it saves.
        with numpy.errstate(all="ignore"):
            self.norm += float(numpy.square(numpy.abs(before)).sum())
            changed = int(numpy.count_nonzero(differs))
            if not changed:
                return
            self.changed += changed
            change = numpy.abs(after - before)
            if changed < before.size:
                change[~differs] = 0  # inf - inf is NaN, but an equal element has not changed
            self.largest = max(self.largest, float(change.max()))
            self.change += float(numpy.square(change, out=change).sum())


def _in_numbers(one: LazyArray, other: LazyArray) -> Amount:
    import numpy

    sums = _Sums()
    remaining = one.size
    same_type = one.type == other.type
    for left, right in _pairs(one, other):
        count = min(remaining, len(left) // one.type.size)
        remaining -= count
        left, right = left[: count * one.type.size], right[: count * other.type.size]
        before = to_numpy.numbers(left, one.dtype)
        if same_type and left == right:
            sums.add(before, before, numpy.zeros(1, bool))
            continue
        after = to_numpy.numbers(right, other.dtype)
        sums.add(before, after, _others(left, right, one) if same_type else _unlike(before, after))
    share = sums.changed / max(one.size, 1)
    if not math.isfinite(sums.change):
        return Amount(share, "elements")
    norm = math.sqrt(sums.norm)
    relative = math.sqrt(sums.change) / norm if 0 < norm < math.inf else math.inf
    if not math.isfinite(relative):
        return Amount(share, "elements", None, sums.largest)
    return Amount(share, "elements", relative, sums.largest, norm)


def _others(left: bytes | bytearray, right: bytes | bytearray, array: LazyArray) -> "Array":
    """Return which elements differ in any bit."""
    import numpy

    width = array.type.size
    if width > 8:
        words = [numpy.frombuffer(each, "u8").reshape(-1, width // 8) for each in (left, right)]
        unequal: Array = (words[0] != words[1]).any(axis=1)
        return unequal
    first, second = (numpy.frombuffer(each, f"u{width}") for each in (left, right))
    different: Array = first != second
    return different.reshape(-1)


def _unlike(before: "Array", after: "Array") -> "Array":
    """Return which values differ, for two dtypes. NaN equals NaN."""
    different: Array = (before != after) & ~((before != before) & (after != after))
    return different
