"""A block behind the last byte of a file whose readers stop at an end of their own.

The block: padding or a ``head`` that the format asks for, the records, a footer. The footer is
the file's last bytes, so that one read finds all, and it holds the size that the file had before,
so that taking the block out gives the old file to the byte. ``docs/format.md`` specifies it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO

from jellyml.formats.edit import Edit, Payload, zeroed
from jellyml.formats.record import Record, RecordKind, read_at, size_of

if TYPE_CHECKING:
    from jellyml.formats.edit import Buffer

_MARK = b"jellyml appended"
# The mark, the file's size before, how many records, the block's own size.
_FOOTER = struct.Struct("<16s3Q")
_PLACE = struct.Struct("<2Q")  # a record's offset and size; they lie before the footer
_MOST_RECORDS = 16


@dataclass(frozen=True, slots=True)
class Block:
    """What lies behind the file's own bytes."""

    before: int
    records: Sequence[Record]


def append(file: BinaryIO, payload: Payload, *, align: int = 1, head: bytes = b"") -> Edit:
    """The file with a block behind it; its first byte, or the head's, is ``align``-aligned."""
    before = size_of(file)
    padding = bytes(-before % align) + head
    at = before + len(padding)
    places = b""
    for data in payload.values():
        places += _PLACE.pack(at, len(data))
        at += len(data)
    size = at + len(places) + _FOOTER.size - before
    footer = places + _FOOTER.pack(_MARK, before, len(payload), size)
    parts: list[Buffer] = [part for part in (padding, *payload.values(), footer) if part]
    return Edit(before, parts)


def footer_size(payload: Payload) -> int:
    """What a block takes beyond its padding or head and the records themselves."""
    return _PLACE.size * len(payload) + _FOOTER.size


def find(file: BinaryIO) -> Block | None:
    """The block that ends the file, if what its footer says adds up."""
    length = size_of(file)
    if length < _FOOTER.size:
        return None
    end = read_at(file, length - _FOOTER.size, _FOOTER.size)
    mark, before, count, size = _FOOTER.unpack(end)
    if mark != _MARK or before + size != length or not 0 < count <= _MOST_RECORDS:
        return None
    start = length - _FOOTER.size - count * _PLACE.size
    places = _PLACE.iter_unpack(read_at(file, start, count * _PLACE.size))
    records = [Record(offset, size) for offset, size in places]
    stops = [(each.offset, each.offset + each.size) for each in records]
    close = all(one[1] == other[0] for one, other in pairwise([*stops, (start, start)]))
    return Block(before, records) if close and stops[0][0] >= before else None


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Those of the block that begin as this kind does."""
    block = find(file)
    for record in block.records if block else ():
        if record.head(file, len(kind.magic)) == kind.magic:
            yield record


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    """The file as it was before the block; None where it does not end with one."""
    block = find(file)
    return Edit(block.before) if block else None


def wipe(file: BinaryIO, records: Sequence[Record]) -> Edit:
    """A file that has no checksums: only the bytes themselves change."""
    return zeroed(file, records, {})
