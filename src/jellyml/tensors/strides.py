"""Elements in the order of their indices, out of a storage in which they lie in another."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Literal

Read = Callable[[int, int], bytes]
"""Bytes of the storage: from where, in bytes, and how many."""

Axis = tuple[int, int]
"""How many, and how far from one to the next, in elements."""

_TILE = 4 << 20  # bytes of the storage held at a time
_TOGETHER = 8 << 20  # bytes of rows made at a time where each is spread over the whole storage
_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def axes_of(shape: Sequence[int], strides: Sequence[int]) -> list[Axis]:
    """The fewest axes that give the same elements in the same order."""
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
    """Whether the elements lie one behind the other in the order of their indices."""
    axes = axes_of(shape, strides)
    return 0 in shape or not axes or (len(axes) == 1 and axes[0][1] == 1)


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether they fill their stretch of the storage, each element once, in whatever order."""
    expected = 1
    for count, stride in sorted(axes_of(shape, strides), key=lambda axis: axis[1]):
        if stride != expected:
            return False
        expected *= count
    return True


def extent(shape: Sequence[int], strides: Sequence[int]) -> int:
    """How many elements of the storage, from the first on, the view may touch."""
    if 0 in shape:
        return 0
    return 1 + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))


def pieces(read: Read, width: int, shape: Sequence[int], strides: Sequence[int]) -> Iterator[bytes]:
    """The elements, each of ``width`` bytes, in the order of their indices."""
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
    """Where each row begins; not ``itertools.product``, which would hold every index."""
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
    held = 0
    for start in _starts(axes[:-1]):
        rows.append(_row(data, width, start, count, stride))
        held += count * width
        if held >= _TILE:
            yield b"".join(rows)
            rows, held = [], 0
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
    """Rows that each reach over more of the storage than may be held, as of a transposed matrix.

    Several rows are made at a time, of the elements that lie beside each other.
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
        held: list[bytes] = []
        for column in columns:
            held.append(column)
            if len(held) * width >= _TILE:
                yield b"".join(held)
                held = []
        yield b"".join(held)
        return
    data = b"".join(columns)
    for row in range(rows):
        yield _row(data, width, row, count, rows)
