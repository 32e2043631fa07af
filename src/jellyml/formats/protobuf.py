"""Walk the fields of a protobuf message by skipping their lengths; no schema, nothing decoded."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from jellyml.formats.record import Record, read_at

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_SIZES = {FIXED64: 8, FIXED32: 4}


class Field(NamedTuple):
    """One field: where its content lies, behind tag and length."""

    number: int
    wire: int
    content: Record


class Malformed(ValueError):
    """The bytes are no protobuf message."""


def fields(file: BinaryIO, within: Record, most: int) -> Iterator[Field]:
    """Those of the message in this stretch, at most so many.

    Raises Malformed where it is none, or has more.
    """
    at, stop = within.offset, within.offset + within.size
    for _ in range(most):
        if at == stop:
            return
        tag, at = _varint(file, at)
        number, wire = tag >> 3, tag & 7
        size, at = _extent(file, at, wire)
        if not 0 < number < 1 << 29 or at + size > stop:
            raise Malformed
        yield Field(number, wire, Record(at, size))
        at += size
    if at != stop:
        raise Malformed


def varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def _extent(file: BinaryIO, at: int, wire: int) -> tuple[int, int]:
    """The size of a field's content, and where it begins."""
    if wire == VARINT:
        return _varint(file, at)[1] - at, at
    if wire == LENGTH:
        return _varint(file, at)
    if wire in _SIZES:
        return _SIZES[wire], at
    raise Malformed


def _varint(file: BinaryIO, at: int) -> tuple[int, int]:
    """The number, and where it ends."""
    number = 0
    for index, byte in enumerate(read_at(file, at, _LONGEST_VARINT)):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, at + index + 1
    raise Malformed
