"""The trailer: a block after the last byte of a file whose readers do not read that far.

The block has padding or a ``head`` that the format needs, the records, and a footer. The footer is
at the end of the file, so that one read finds the block. It holds the size of the file without the
block, so that removing it restores every byte. ``docs/format.md`` specifies it.
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
# The mark, the file's size without the block, the number of records, the block's size.
_FOOTER = struct.Struct("<16s3Q")
_PLACE = struct.Struct("<2Q")  # a record's offset and size; these precede the footer
_MOST_RECORDS = 16


@dataclass(frozen=True, slots=True)
class Block:
    """The block; ``before`` is the size of the file without it, in bytes."""

    before: int
    records: Sequence[Record]


def append(file: BinaryIO, payload: Payload, *, align: int = 1, head: bytes = b"") -> Edit:
    """Return the edit that appends a block. The first record, or ``head``, is ``align``-aligned."""
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
    """Return the bytes of a block besides its padding or head and its records."""
    return _PLACE.size * len(payload) + _FOOTER.size


def find(file: BinaryIO) -> Block | None:
    """Return the block at the end of the file; None if its footer is not consistent."""
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
    """Yield the block's records of this kind."""
    block = find(file)
    for record in block.records if block else ():
        if record.head(file, len(kind.magic)) == kind.magic:
            yield record


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    """Return the edit that removes the block; None if the file does not end with one."""
    block = find(file)
    return Edit(block.before) if block else None


def wipe(file: BinaryIO, records: Sequence[Record]) -> Edit:
    """Return the edit that zeroes records of a file without checksums."""
    return zeroed(file, records, {})
