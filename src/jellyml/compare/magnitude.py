"""By how much two arrays differ that are not the same: in numbers with numpy, else in bytes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jellyml.tensors import to_numpy
from jellyml.tensors.lazy_array import LazyArray, aligned, blocks, rechunked

if TYPE_CHECKING:
    from jellyml.tensors.to_numpy import Array

# At a time. What is made of them in between then stays in a processor's cache.
_ELEMENTS = 1 << 15


@dataclass(frozen=True, slots=True)
class Amount:
    """``share``: how many of the elements, or of the bytes, are others; more than 0, at most 1.

    ``relative`` is the norm of the change by the norm of what was (``norm``), ``largest`` the
    largest change of one element. They are None where there are no numbers: without numpy, of a
    packed type, where an element is or becomes no finite number; ``relative`` also where all was
    zero, or so small that the quotient is not finite.
    """

    share: float
    of: Literal["elements", "bytes"]
    relative: float | None = None
    largest: float | None = None
    norm: float | None = None


def amount(one: LazyArray, other: LazyArray) -> Amount:
    """Two of one shape; one type too, or types that have numbers. Raises Unreadable."""
    if to_numpy.is_here() and all(to_numpy.has_numbers(each.dtype) for each in (one, other)):
        return _in_numbers(one, other)
    return _in_bytes(one, other)


def can_tell(one: LazyArray, other: LazyArray) -> bool:
    """Whether ``amount`` says something of two that are of different types."""
    known = all(to_numpy.has_numbers(each.dtype) for each in (one, other))
    return one.shape == other.shape and known and to_numpy.is_here()


def _in_bytes(one: LazyArray, other: LazyArray) -> Amount:
    changed = sum(_differing(mine, theirs) for mine, theirs in _pairs(one, other))
    return Amount(changed / max(one.nbytes, 1), "bytes")


def _differing(one: bytes | bytearray, other: bytes | bytearray) -> int:
    """How many bytes are others: as one large number each, which Python is quick at."""
    if one == other:
        return 0
    odd = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return len(one) - odd.to_bytes(len(one), "little").count(0)


def _pairs(one: LazyArray, other: LazyArray) -> Iterator[tuple[bytes | bytearray, ...]]:
    """Bytes of the same elements of both, some at a time."""
    if aligned(one, other) and one.type == other.type:
        yield from blocks(one.placed(), other.placed(), one.type.size * _ELEMENTS)
    else:
        sizes = (each.type.size * _ELEMENTS for each in (one, other))
        pieces = (each.chunks() for each in (one, other))
        yield from zip(*map(rechunked, pieces, sizes), strict=True)


class _Sums:
    """What is added up, block by block."""

    def __init__(self) -> None:
        self.changed = 0
        self.norm = self.change = self.largest = 0.0

    def add(self, before: "Array", after: "Array", differs: "Array") -> None:
        import numpy

        # Not ``dot``: what starts threads for so little takes longer than it saves.
        with numpy.errstate(all="ignore"):
            self.norm += float(numpy.square(numpy.abs(before)).sum())
            changed = int(numpy.count_nonzero(differs))
            if not changed:
                return
            self.changed += changed
            change = numpy.abs(after - before)
            if changed < before.size:
                change[~differs] = 0  # what stays infinite has not changed
            self.largest = max(self.largest, float(change.max()))
            self.change += float(numpy.square(change, out=change).sum())


def _in_numbers(one: LazyArray, other: LazyArray) -> Amount:
    import numpy

    sums = _Sums()
    left = one.size
    alike = one.type == other.type
    for mine, theirs in _pairs(one, other):
        count = min(left, len(mine) // one.type.size)
        left -= count
        mine, theirs = mine[: count * one.type.size], theirs[: count * other.type.size]
        before = to_numpy.numbers(mine, one.dtype)
        if alike and mine == theirs:
            sums.add(before, before, numpy.zeros(1, bool))
            continue
        after = to_numpy.numbers(theirs, other.dtype)
        sums.add(before, after, _others(mine, theirs, one) if alike else _unlike(before, after))
    share = sums.changed / max(one.size, 1)
    if not math.isfinite(sums.change):
        return Amount(share, "elements")
    norm = math.sqrt(sums.norm)
    relative = math.sqrt(sums.change) / norm if 0 < norm < math.inf else math.inf
    if not math.isfinite(relative):
        return Amount(share, "elements", None, sums.largest)
    return Amount(share, "elements", relative, sums.largest, norm)


def _others(mine: bytes | bytearray, theirs: bytes | bytearray, array: LazyArray) -> "Array":
    """Which elements are not the same to the bit."""
    import numpy

    width = array.type.size
    if width > 8:
        words = [numpy.frombuffer(each, "u8").reshape(-1, width // 8) for each in (mine, theirs)]
        odd: Array = (words[0] != words[1]).any(axis=1)
        return odd
    left, right = (numpy.frombuffer(each, f"u{width}") for each in (mine, theirs))
    different: Array = left != right
    return different.reshape(-1)


def _unlike(before: "Array", after: "Array") -> "Array":
    """Of two types only values can be compared; NaN is like NaN."""
    odd: Array = (before != after) & ~((before != before) & (after != after))
    return odd
