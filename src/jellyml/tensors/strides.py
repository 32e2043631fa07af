"""Read a strided view: its elements in the order of their indices."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Literal

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


def pieces(read: Read, width: int, shape: Sequence[int], strides: Sequence[int]) -> Iterator[bytes]:
    """Yield the elements, each of ``width`` bytes, in the order of their indices."""
    if 0 in shape:
        return
    axes = axes_of(shape, strides) or [(1, 1)]
    depth = next((at for at in range(len(axes)) if _span(axes[at:]) * width <= _TILE), None)
    if depth is None:
        yield from _spread(read, width, axes)
        return
    inner = axes[depth:]
    size = _span(inner) * width
    for start in _starts(axes[:depth]):
        yield from _gathered(read(start * width, size), width, inner)


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


def _gathered(data: bytes, width: int, axes: Sequence[Axis]) -> Iterator[bytes]:
    count, stride = axes[-1]
    rows: list[bytes] = []
    gathered = 0
    for start in _starts(axes[:-1]):
        rows.append(_row(data, width, start, count, stride))
        gathered += count * width
        if gathered >= _TILE:
            yield b"".join(rows)
            rows, gathered = [], 0
    yield b"".join(rows)


def _row(data: bytes, width: int, start: int, count: int, stride: int) -> bytes:
    if stride == 1:
        return data[start * width : (start + count) * width]
    if stride == 0:
        return data[start * width : (start + 1) * width] * count
    stop = start + (count - 1) * stride + 1
    if width in _FORMATS:
        return memoryview(data).cast(_FORMATS[width])[start:stop:stride].tobytes()
    return b"".join(data[at * width : (at + 1) * width] for at in range(start, stop, stride))


def _spread(read: Read, width: int, axes: Sequence[Axis]) -> Iterator[bytes]:
    """Yield rows that each span more than ``_TILE`` bytes, such as those of a transposed matrix.

    Several rows are gathered at a time, from elements that are adjacent in the storage.
    """
    count, stride = axes[-1]
    rows, step = axes[-2] if len(axes) > 1 else (1, 1)
    together = max(1, min(rows, _TOGETHER // (count * width), _TILE // (max(step, 1) * width)))
    for start in _starts(axes[:-2]):
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
        pending: list[bytes] = []
        for column in columns:
            pending.append(column)
            if len(pending) * width >= _TILE:
                yield b"".join(pending)
                pending = []
        yield b"".join(pending)
        return
    data = b"".join(columns)
    for row in range(rows):
        yield _row(data, width, row, count, rows)
