"""ONNX: a protobuf message, to which a field is appended that no reader knows, and all pass over.

Its bytes are raw, which the ``metadata_props`` must not be: those are text. Saved again by
``onnx.save``, the field is still there.
"""

from collections.abc import Iterator
from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import scan, trailing
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.protobuf import LENGTH, VARINT, Field, Malformed, fields, varint
from jellyml.formats.record import Kind, Record, read_at, size_of

name = "ONNX"

#: Far above those that ONNX uses, outside those that protobuf keeps for itself.
FIELD = 20230107
# The numbers in use and their kinds. There is no magic number: these have to do.
_KNOWN = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), LENGTH)
_GRAPH, _OPERATORS, _METADATA = 7, 8, 14
_MOST_FIELDS = 10_000
_LARGEST = (1 << 31) - 1  # no protobuf message is longer
_LONGEST_NAME = 64

strip = trailing.strip
wipe = trailing.wipe


def recognises(file: BinaryIO) -> bool:
    if read_at(file, 0, 1) != b"\x08":  # the version comes first
        return False
    try:
        seen = list(_walk(file))
    except Malformed:
        return False
    numbers = [each.number for each in seen]
    return (
        all(_KNOWN.get(each.number, LENGTH) == each.wire for each in seen)
        and numbers.count(_GRAPH) == 1
        and _OPERATORS in numbers
    )


def records(file: BinaryIO, kind: Kind) -> Iterator[Record]:
    """The appended field; base64 under our key in the model's metadata; else the search."""
    yield from trailing.records(file, kind)
    yield from _in_metadata(file, kind)
    yield from scan.records(file, kind)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    size = sum(map(len, payload.values())) + trailing.footer_size(payload)
    edit = trailing.append(file, payload, head=varint(FIELD << 3 | LENGTH) + varint(size))
    if edit.size > _LARGEST:
        raise CannotCarry("With the snapshot it would be over 2 GB, the most that ONNX can be.")
    return edit


def _walk(file: BinaryIO) -> Iterator[Field]:
    return fields(file, Record(0, size_of(file)), _MOST_FIELDS)


def _in_metadata(file: BinaryIO, kind: Kind) -> Iterator[Record]:
    """An entry is a message of its own: 1 is its key, 2 its value."""
    try:
        for entry in _walk(file):
            if entry.number == _METADATA:
                parts = {each.number: each.content for each in fields(file, entry.content, 8)}
                key, value = parts.get(1), parts.get(2)
                if value and key and key.head(file, _LONGEST_NAME) == kind.key.encode():
                    yield Record(value.offset, value.size, "base64")
    except Malformed:
        return
