"""The arrays of NumPy's formats: ``.npy`` with one array, ``.npz`` with several."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import BinaryIO

from jellyml.formats import npy
from jellyml.formats.containers.pickle.objects import MOST_ARRAYS, TooMuch
from jellyml.formats.containers.zip import read_directory
from jellyml.formats.record import Record, size_of
from jellyml.formats.source import ByteSource
from jellyml.tensors.byte_range import ByteRange
from jellyml.tensors.dtypes import DType, of_numpy
from jellyml.tensors.lazy_array import NOT_THERE, LazyArray

_LONGEST_HEADER = 10_000  # bytes that NumPy reads by default
_LARGEST = 1 << 48
_MOST_AXES = 64  # that NumPy has at most
_ENDING = b".npy"
_MOST_UNFOLDING = 1032


def of_npy(file: BinaryIO, source: ByteSource) -> Iterator[LazyArray]:
    yield _array("", Record(0, size_of(file)), file, source)


def of_npz(file: BinaryIO, source: ByteSource) -> Iterator[LazyArray]:
    directory = read_directory(file)
    if not directory or len(directory) > MOST_ARRAYS:
        raise TooMuch(f"{source} is a damaged archive, or one of more than {MOST_ARRAYS:,} arrays.")
    # Many entries may name one member: its header is parsed once.
    known: dict[Record | None, LazyArray] = {}
    for entry in directory:
        if entry.name.endswith(_ENDING):
            name = entry.name.removesuffix(_ENDING).decode(errors="replace")
            member = directory.locate(entry)
            if member not in known:
                known[member] = _array("", member, file, source)
            yield replace(known[member], name=name)


def _array(name: str, member: Record | None, file: BinaryIO, source: ByteSource) -> LazyArray:
    unknown = DType("unknown", 1)
    if member is None:
        return LazyArray(name, (), unknown, None, flaw=NOT_THERE)
    start = npy.data_offset(member.head(file, 12))
    if start is None or start > _LONGEST_HEADER:
        return LazyArray(name, (), unknown, None, flaw="its header is damaged")
    source.budget.step(start)
    header = _header(member.head(file, start)[10:])
    if header is None:
        return LazyArray(name, (), unknown, None, flaw="its header is damaged")
    descr, shape, fortran = header
    known = of_numpy(descr) if isinstance(descr, str) else None
    if known is None:
        kind = DType(descr if isinstance(descr, str) else "structured", 1)
        return LazyArray(name, shape, kind, None, flaw="its type is not one of numbers")
    kind, big = known
    size = kind.bytes_of(prod(shape))
    swap = kind.swap if big else 1
    room = member.size * _MOST_UNFOLDING if member.encoded else member.size
    if start + size > room:
        return LazyArray(name, shape, kind, None, flaw=NOT_THERE)
    if member.encoded:
        place = ByteRange(source, member.offset, size, member.size, start, swap)
    else:
        place = ByteRange(source, member.offset + start, size, swap=swap)
    strides = _fortran(shape) if fortran and sum(each > 1 for each in shape) > 1 else None
    return LazyArray(name, shape, kind, place, strides)


def _header(text: bytes) -> tuple[object, tuple[int, ...], bool] | None:
    """Return type, shape, and whether the first axis changes fastest; None if malformed."""
    try:
        # literal_eval runs no code, and the text is short.
        fields = ast.literal_eval(text[text.index(b"{") :].decode("latin-1").strip())
        shape = fields["shape"]
        if not all(type(size) is int and 0 <= size < _LARGEST for size in shape):
            return None
        if len(shape) > _MOST_AXES:
            return None
        return fields["descr"], tuple(shape), bool(fields["fortran_order"])
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        return None


def _fortran(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps, step = [], 1
    for size in shape:
        steps.append(step)
        step *= max(size, 1)
    return tuple(steps)
