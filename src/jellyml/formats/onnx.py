"""ONNX: a protobuf message, to which an unknown field is appended, which all readers ignore.

The field holds raw bytes; ``metadata_props`` can hold only text. ``onnx.save`` preserves it.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from jellyml.errors import CannotCarry
from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Record, RecordKind, read_at, size_of

name = signatures.ONNX.name

#: The field's number: far above those of ONNX, outside the range reserved by protobuf.
FIELD = 20230107

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# Field number -> wire type of ONNX. The format has no magic number; these identify it.
_KNOWN = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), LENGTH)
_GRAPH, _OPERATORS, _METADATA = 7, 8, 14
_MOST_FIELDS = 10_000
_LARGEST = (1 << 31) - 1  # no protobuf message is longer
_LONGEST_NAME = 64

strip = trailer.strip
wipe = trailer.wipe

_LONGEST_VARINT = 10
_SIZES = {FIXED64: 8, FIXED32: 4}


def recognises(file: BinaryIO) -> bool:
    if not signatures.ONNX.matches(read_at(file, 0, signatures.ONNX.reach)):
        return False
    try:
        all_fields = list(_walk(file))
    except Malformed:
        return False
    numbers = [each.number for each in all_fields]
    return (
        all(_KNOWN.get(each.number, LENGTH) == each.wire for each in all_fields)
        and numbers.count(_GRAPH) == 1
        and _OPERATORS in numbers
    )


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Yield the appended field, then base64 in the model's metadata, then the search's results."""
    yield from trailer.records(file, kind)
    yield from _in_metadata(file, kind)
    yield from unknown.records(file, kind)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    size = sum(map(len, payload.values())) + trailer.footer_size(payload)
    edit = trailer.append(file, payload, head=varint(FIELD << 3 | LENGTH) + varint(size))
    if edit.size > _LARGEST:
        raise CannotCarry(
            "With the snapshot it would be over 2 GB, the largest size of an ONNX file."
        )
    return edit


class Field(NamedTuple):
    """One field; ``content`` is the record after tag and length."""

    number: int
    wire: int
    content: Record


def _walk(file: BinaryIO) -> Iterator[Field]:
    return fields(file, Record(0, size_of(file)), _MOST_FIELDS)


def _in_metadata(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Yield the metadata under the key of this kind. An entry has field 1 (key) and 2 (value)."""
    try:
        for entry in _walk(file):
            if entry.number == _METADATA:
                parts = {each.number: each.content for each in fields(file, entry.content, 8)}
                key, value = parts.get(1), parts.get(2)
                if value and key and key.head(file, _LONGEST_NAME) == kind.key.encode():
                    yield Record(value.offset, value.size, "base64")
    except Malformed:
        return


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


def fields(file: BinaryIO, within: Record, most: int) -> Iterator[Field]:
    """Yield the fields of the message in ``within``.

    Raise Malformed if it is not a message, or has more than ``most`` fields.
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
    """Return the size of a field's content, and its offset."""
    if wire == VARINT:
        return _varint(file, at)[1] - at, at
    if wire == LENGTH:
        return _varint(file, at)
    if wire in _SIZES:
        return _SIZES[wire], at
    raise Malformed


def _varint(file: BinaryIO, at: int) -> tuple[int, int]:
    """Return a varint and the offset after it. Raise Malformed."""
    number = 0
    for index, byte in enumerate(read_at(file, at, _LONGEST_VARINT)):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, at + index + 1
    raise Malformed
