"""Walk msgpack's values by skipping their lengths; nothing is built."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jellyml.formats.record import read_at

# First byte: width of the length that follows, or for the last ones the size of the value.
_BINARIES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4}
_PLAIN = _NUMBERS | {0xD3: 8, 0xC0: 0, 0xC2: 0, 0xC3: 0}


class Malformed(ValueError):
    """The bytes are not msgpack, or are too many values."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: where its content lies, and how many values come behind it that belong to it."""

    start: int
    end: int
    items: int = 0
    mapping: bool = False
    text: bool = False
    binary: bool = False
    extension: int | None = None


def values(file: BinaryIO, most: int) -> Iterator[Value]:
    """The value that the file begins with, and all those in it."""
    at, left = 0, 1
    for _ in range(most):
        if not left:
            return
        value = value_at(file, at)
        yield value
        at, left = value.end, left - 1 + value.items
    raise Malformed


def value_at(file: BinaryIO, at: int) -> Value:
    start = read_at(file, at, 6)
    if not start:
        raise Malformed
    first = start[0]
    if first in _LISTS or first in _MAPS or 0x80 <= first <= 0x9F:
        return _container(start, at)
    if first in _EXTENSIONS or first in _FIXED_EXTENSIONS:
        return _extension(start, at)
    if width := _BINARIES.get(first) or _TEXTS.get(first):
        begin = at + 1 + width
        end = begin + _number(start, width)
        return Value(begin, end, text=first in _TEXTS, binary=first in _BINARIES)
    if 0xA0 <= first <= 0xBF:
        return Value(at + 1, at + 1 + (first & 0x1F), text=True)
    if first < 0x80 or first >= 0xE0:
        return Value(at + 1, at + 1)
    if first in _PLAIN:
        return Value(at + 1, at + 1 + _PLAIN[first])
    raise Malformed


def _container(start: bytes, at: int) -> Value:
    first = start[0]
    width = _LISTS.get(first) or _MAPS.get(first) or 0
    count = _number(start, width) if width else first & 0xF
    mapping = first in _MAPS or 0x80 <= first <= 0x8F
    begin = at + 1 + width
    return Value(begin, begin, items=count * (1 + mapping), mapping=mapping)


def _extension(start: bytes, at: int) -> Value:
    first = start[0]
    width = _EXTENSIONS.get(first, 0)
    size = _number(start, width) if width else _FIXED_EXTENSIONS[first]
    begin = at + 2 + width
    kind = start[1 + width : 2 + width]
    if not kind:
        raise Malformed
    return Value(begin, begin + size, extension=kind[0])


def _number(start: bytes, width: int) -> int:
    if len(start) <= width:
        raise Malformed
    return int.from_bytes(start[1 : 1 + width], "big")
