"""What ``flax.serialization`` writes: one map, to which ours are added under a key it has.

Nothing may follow the map, and an entry under a key of its own is refused where the state of a
class is restored. So ours come before all others, under the map's own first key: msgpack reads
on, and the true entry takes their place. They are byte strings: a mark, which holds the head
that the map had, then the records.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from jellyml.errors import CannotCarry
from jellyml.formats import scan, trailing
from jellyml.formats.edit import Buffer, Edit, Payload
from jellyml.formats.msgpack_walk import Malformed, Value, value_at, values
from jellyml.formats.record import Kind, Record, read_at, size_of

name = "Flax msgpack"

_MARK = b"jellyml inserted"
_ARRAYS = {1, 2, 3}  # the types of extension that Flax makes of arrays and numbers
_LARGEST = (1 << 32) - 1  # of a byte string
_MOST_RECORDS = 16
_MOST_VALUES = 200_000
_LONGEST_KEY = 1024

wipe = trailing.wipe


def recognises(file: BinaryIO) -> bool:
    """A map and nothing behind it, with one of Flax's arrays in it."""
    try:
        if _first_key(file) is None:
            return False
        arrays, end = False, 0
        for value in values(file, _MOST_VALUES):
            arrays = arrays or value.extension in _ARRAYS
            end = value.end
    except Malformed:
        return False
    return arrays and end == size_of(file)


def records(file: BinaryIO, kind: Kind) -> Iterator[Record]:
    if ours := _inserted(file):
        yield from (each for each in ours.records if each.head(file, len(kind.magic)) == kind.magic)
    yield from scan.records(file, kind)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    head, key = value_at(file, 0), _first_key(file)
    assert key is not None, "it was recognised"
    if max(map(len, payload.values()), default=0) > _LARGEST:
        raise CannotCarry("The snapshot is over 4 GB, the most that a byte string can be.")
    mark = _MARK + read_at(file, 0, head.start)
    parts: list[Buffer | Record] = [_head(head.items // 2 + 1 + len(payload))]
    for text in (mark, *payload.values()):
        parts += [key + struct.pack(">BL", 0xC6, len(text)), text]
    return Edit(0, [*parts, Record(head.start, size_of(file) - head.start)])


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    ours = _inserted(file)
    if not ours:
        return None
    return Edit(0, [ours.head, Record(ours.end, size_of(file) - ours.end)])


class _Inserted(NamedTuple):
    head: bytes  # the map's, as it was
    records: Sequence[Record]
    end: int  # where the map's own first entry begins


def _inserted(file: BinaryIO) -> _Inserted | None:
    """What fill put in, if the map begins with it."""
    try:
        key = _first_key(file)
        if key is None:
            return None
        at = value_at(file, 0).start
        found: list[Value] = []
        while len(found) <= _MOST_RECORDS and read_at(file, at, len(key)) == key:
            value = value_at(file, at + len(key))
            if not value.binary:
                break
            found.append(value)
            at = value.end
    except Malformed:
        return None
    mark = read_at(file, found[0].start, len(_MARK) + 5) if found else b""
    if not mark.startswith(_MARK) or read_at(file, at, len(key)) != key:
        return None
    head = mark[len(_MARK) : found[0].end - found[0].start]
    return _Inserted(head, [Record(each.start, each.end - each.start) for each in found[1:]], at)


def _first_key(file: BinaryIO) -> bytes | None:
    """The first key as it is written, if the file begins with a map that has one, a short text."""
    head = value_at(file, 0)
    if not head.mapping or not head.items:
        return None
    key = value_at(file, head.start)
    short = key.text and key.end - head.start <= _LONGEST_KEY
    return read_at(file, head.start, key.end - head.start) if short else None


def _head(entries: int) -> bytes:
    if entries < 16:
        return bytes([0x80 | entries])
    return (
        struct.pack(">BH", 0xDE, entries)
        if entries < 1 << 16
        else struct.pack(">BL", 0xDF, entries)
    )
