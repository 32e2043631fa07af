"""The arrays of a GGUF file: their descriptions come after the metadata and before the data."""

import struct
from collections.abc import Iterator
from math import prod
from typing import BinaryIO

from jellyml.budget import kept
from jellyml.formats.containers.pickle.objects import MOST_ARRAYS, TooMuch
from jellyml.formats.record import read_at, size_of
from jellyml.formats.source import ByteSource, budget_of
from jellyml.tensors.byte_range import ByteRange
from jellyml.tensors.dtypes import DType, of_gguf
from jellyml.tensors.lazy_array import NOT_THERE, LazyArray

_BLOCK = 1 << 18
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY, _UINT32 = 8, 9, 4
_MOST_STEPS = 5_000_000  # such as tokens of a vocabulary; takes some seconds
_LONGEST_NAME = 1000
_DESCRIPTION = 400  # bytes of memory
_MOST_AXES = 8
_DEFAULT_ALIGNMENT = 32


def of_file(file: BinaryIO, source: ByteSource) -> Iterator[LazyArray]:
    """Yield the arrays. Raise TooMuch if their descriptions are damaged."""
    with kept(source.budget) as descriptions:
        try:
            reader = _Reader(file)
            reader.begin()
            descriptions.add(_DESCRIPTION * reader.arrays)
            named = [reader.tensor() for _ in range(reader.arrays)]
        except (struct.error, ValueError, UnicodeDecodeError):
            raise TooMuch(f"The descriptions of the arrays in {source} are damaged.") from None
        start = -(-reader.at // reader.alignment) * reader.alignment
        length = size_of(file)
        for name, shape, number, offset in named:
            yield _array(name, shape, number, source, start + offset, length, reader)


class _Reader:
    """Reads numbers and strings in sequence."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._budget = budget_of(file)
        self._block, self._start = b"", 0
        self.at = 0
        self.order = "<"
        self.arrays = 0
        self.alignment = _DEFAULT_ALIGNMENT
        self._wide = "Q"
        self._steps = 0

    def begin(self) -> None:
        """Read the header and the metadata, up to the arrays."""
        self._take(4)
        version = self._number("I")
        if version & 0xFFFF == 0:  # big-endian
            self.order = ">"
            version = int.from_bytes(version.to_bytes(4, "little"), "big")
        self._wide = "I" if version == 1 else "Q"
        self.arrays, facts = self._number(self._wide), self._number(self._wide)
        if self.arrays > MOST_ARRAYS:
            raise ValueError
        for _ in range(facts):
            self._fact()

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Return name, shape (the fastest axis last), type number, offset."""
        name = self._text(_LONGEST_NAME).decode(errors="replace")
        count = self._number("I")
        if count > _MOST_AXES:
            raise ValueError
        shape = tuple(self._number(self._wide) for _ in range(count))
        return name, shape[::-1], self._number("I"), self._number("Q")

    def _fact(self) -> None:
        name = self._text(1 << 16)
        kind = self._number("I")
        if name == b"general.alignment" and kind == _UINT32:
            self.alignment = self._number("I")
            if not 0 < self.alignment <= 1 << 20:
                raise ValueError
        else:
            self._pass(kind)

    def _pass(self, kind: int, depth: int = 0) -> None:
        self._steps += 1
        self._budget.step()
        if self._steps > _MOST_STEPS or depth > 4:
            raise ValueError
        if kind == _TEXT:
            size = self._number(self._wide)
            self.at += size
        elif kind == _ARRAY:
            inner, count = self._number("I"), self._number(self._wide)
            if inner in _SIZES:
                self.at += _SIZES[inner] * count
            else:
                for _ in range(count):
                    self._pass(inner, depth + 1)
        elif kind in _SIZES:
            self.at += _SIZES[kind]
        else:
            raise ValueError

    def _text(self, longest: int) -> bytes:
        size = self._number(self._wide)
        if size > longest:
            raise ValueError
        return self._take(size)

    def _number(self, letter: str) -> int:
        kind = struct.Struct(self.order + letter)
        return int(kind.unpack(self._take(kind.size))[0])

    def _take(self, size: int) -> bytes:
        inside = self.at - self._start
        if not 0 <= inside <= len(self._block) - size:
            if self.at >= 1 << 62:
                raise ValueError
            self._block, self._start = read_at(self._file, self.at, max(_BLOCK, size)), self.at
            inside = 0
        self.at += size
        taken = self._block[inside : inside + size]
        if len(taken) < size:
            raise ValueError
        return taken


def _array(
    name: str,
    shape: tuple[int, ...],
    number: int,
    source: ByteSource,
    place: int,
    length: int,
    reader: _Reader,
) -> LazyArray:
    kind = of_gguf(number)
    if kind is None:
        return LazyArray(
            name, shape, DType(f"type {number}", 1), None, flaw="its type is not known"
        )
    if kind.packed and reader.order == ">":
        return LazyArray(name, shape, kind, None, flaw="its byte order is not supported")
    size = kind.bytes_of(prod(shape))
    if place + size > length:
        return LazyArray(name, shape, kind, None, flaw=NOT_THERE)
    swap = kind.swap if reader.order == ">" else 1
    return LazyArray(name, shape, kind, ByteRange(source, place, size, swap=swap))
