"""Read a strided view: its elements in the order of their indices."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

from jellyml.budget import Budget

Read = Callable[[int, int], bytes]
"""A function that returns bytes of the storage: (offset, size), both in bytes."""

Axis = tuple[int, int]
"""(count, stride), both in elements."""

_TILE = 4 << 20  # bytes of the storage that are read at a time
_TOGETHER = 8 << 20  # bytes of rows gathered at a time, if each spans the whole storage
_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def axes_of(shape: Sequence[int], strides: Sequence[int]) -> list[Axis]:
    """Return the fewest axes with the same elements in the same order."""
    axes: list[Axis] = []
    for count, stride in zip(shape, strides, strict=True):
        if count == 1:
            continue
        if axes and axes[-1][1] == stride * count:
            axes[-1] = (axes[-1][0] * count, stride)
        else:
            axes.append((count, stride))
    return axes


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return True if the elements are contiguous in the order of their indices."""
    axes = axes_of(shape, strides)
    return 0 in shape or not axes or (len(axes) == 1 and axes[0][1] == 1)


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Return True if the elements fill their part of the storage, each once, in any order."""
    expected = 1
    for count, stride in sorted(axes_of(shape, strides), key=lambda axis: axis[1]):
        if stride != expected:
            return False
        expected *= count
    return True


def extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Return how many elements of the storage the view spans, from its first one."""
    if 0 in shape:
        return 0
    return 1 + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))


def pieces(
    read: Read, width: int, shape: Sequence[int], strides: Sequence[int], budget: Budget
) -> Iterator[bytes]:
    """Yield the elements, each of ``width`` bytes, in the order of their indices.

    Each row charges a step: a view of few bytes may have billions of rows. Raise Exhausted.
    """
    if 0 in shape:
        return
    axes = axes_of(shape, strides) or [(1, 1)]
    for piece in _joined(_Rows(read, width, budget).below(0, axes)):
        budget.make(len(piece))
        yield piece


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one view, each of at most some megabytes.

    Idea: what is below an axis of stride 0 is the same bytes at each of its indices, so it is
    computed once and repeated. The storage is read in tiles, each once for all rows inside it.
    """

    read: Read
    width: int
    budget: Budget

    def below(self, start: int, axes: Sequence[Axis]) -> Iterator[bytes]:
        """Yield the rows of these axes, from the element ``start`` of the storage on."""
        (count, stride), rest = axes[0], axes[1:]
        size = _span(axes) * self.width
        if size <= _TILE:
            yield from self._inside(self.read(start * self.width, size), 0, axes)
        elif stride == 0:
            yield from self._repeated(lambda: self.below(start, rest), count, rest)
        elif len(axes) <= 2 and _span(axes[-1:]) * self.width > _TILE:
            yield from _spread(self.read, self.width, start, axes)
        else:
            for index in range(count):
                yield from self.below(start + index * stride, rest)

    def _inside(self, data: bytes, start: int, axes: Sequence[Axis]) -> Iterator[bytes]:
        """Yield the rows of axes whose bytes are all in ``data``."""
        at = next((at for at, (_, stride) in enumerate(axes) if stride == 0), len(axes) - 1)
        (count, stride), rest = axes[at], axes[at + 1 :]
        for place in _starts(axes[:at]):
            self.budget.step()
            first = start + place
            if stride:
                yield _row(data, self.width, first, count, stride)
            elif rest:
                yield from self._repeated(partial(self._inside, data, first, rest), count, rest)
            else:
                element = data[first * self.width : (first + 1) * self.width]
                yield from self._repeated(partial(iter, (element,)), count, rest)

    def _repeated(
        self, rows: Callable[[], Iterator[bytes]], count: int, axes: Sequence[Axis]
    ) -> Iterator[bytes]:
        """Yield the same rows ``count`` times; they are the elements of ``axes``."""
        size = prod(each for each, _ in axes) * self.width
        if size > _TILE:
            for _ in range(count):
                yield from rows()
            return
        block = b"".join(rows())
        together = min(count, _TILE // size)
        chunk = block * together
        for _ in range(count // together):
            yield chunk
        yield block * (count % together)


def _joined(rows: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces."""
    pending = bytearray()  # not a list: the rows may be millions of single elements
    for row in rows:
        if len(row) >= _TILE and not pending:
            yield row
            continue
        pending += row
        if len(pending) >= _TILE:
            yield bytes(pending)
            pending.clear()
    yield bytes(pending)


def _span(axes: Sequence[Axis]) -> int:
    return 1 + sum((count - 1) * stride for count, stride in axes)


def _starts(axes: Sequence[Axis]) -> Iterator[int]:
    """Yield the offset of each row in elements. ``itertools.product`` would store every index."""
    if not axes:
        yield 0
        return
    index = [0] * len(axes)
    place = 0
    for _ in range(prod(count for count, _ in axes)):
        yield place
        for at in reversed(range(len(axes))):
            count, stride = axes[at]
            index[at] += 1
            place += stride
            if index[at] < count:
                break
            place -= count * stride
            index[at] = 0


def _row(data: bytes, width: int, start: int, count: int, stride: int) -> bytes:
    if stride == 1:
        return data[start * width : (start + count) * width]
    stop = start + (count - 1) * stride + 1
    if width in _FORMATS:
        return memoryview(data).cast(_FORMATS[width])[start:stop:stride].tobytes()
    return b"".join(data[at * width : (at + 1) * width] for at in range(start, stop, stride))


def _spread(read: Read, width: int, start: int, axes: Sequence[Axis]) -> Iterator[bytes]:
    """Yield rows that each span more than ``_TILE`` bytes, such as those of a transposed matrix.

    Several rows are gathered at a time, from elements that are adjacent in the storage.
    """
    count, stride = axes[-1]
    rows, step = axes[-2] if len(axes) > 1 else (1, 1)
    together = max(1, min(rows, _TOGETHER // (count * width), _TILE // (max(step, 1) * width)))
    for first in range(0, rows, together):
        many = min(together, rows - first)
        at = start + first * step
        size = _span([(many, step)]) * width
        columns = (
            _row(read((at + column * stride) * width, size), width, 0, many, step)
            for column in range(count)
        )
        yield from _transposed(columns, width, many, count)


def _transposed(columns: Iterator[bytes], width: int, rows: int, count: int) -> Iterator[bytes]:
    if rows == 1:
        yield from columns
        return
    data = b"".join(columns)
    for row in range(rows):
        yield _row(data, width, row, count, rows)
