"""``flax.serialization``: one map, to which records are added under its own first key.

Nothing may follow the map, and Flax refuses an unknown key when it restores the state of a
class. So the records come before all entries, under the map's first key: msgpack keeps the
last value of a key, which is the original one. They are byte strings: a mark with the original
head of the map, then the records.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from jellyml.errors import CannotCarry
from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Record, RecordKind, read_at, size_of

if TYPE_CHECKING:
    from jellyml.formats.edit import Buffer

name = signatures.FLAX.name

_MARK = b"jellyml inserted"
_ARRAYS = {1, 2, 3}  # Flax's extension types of arrays and numbers
_LARGEST = (1 << 32) - 1  # bytes of a byte string
_MOST_RECORDS = 16
_MOST_VALUES = 200_000
_LONGEST_KEY = 1024

wipe = trailer.wipe

# First byte -> width of the length that follows; in the last two, the size of the value.
_BINARIES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_TEXTS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_LISTS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4}
_PLAIN = _NUMBERS | {0xD3: 8, 0xC0: 0, 0xC2: 0, 0xC3: 0}


def recognises(file: BinaryIO) -> bool:
    """Return True for a map with one of Flax's arrays and nothing after it."""
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


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    if inserted := _inserted(file):
        yield from (
            each for each in inserted.records if each.head(file, len(kind.magic)) == kind.magic
        )
    yield from unknown.records(file, kind)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    head, key = value_at(file, 0), _first_key(file)
    assert key is not None, "it was recognised"
    if max(map(len, payload.values()), default=0) > _LARGEST:
        raise CannotCarry("The snapshot is over 4 GB, the largest size of a byte string.")
    mark = _MARK + read_at(file, 0, head.start)
    parts: list[Buffer | Record] = [_head(head.items // 2 + 1 + len(payload))]
    for text in (mark, *payload.values()):
        parts += [key + struct.pack(">BL", 0xC6, len(text)), text]
    return Edit(0, [*parts, Record(head.start, size_of(file) - head.start)])


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    inserted = _inserted(file)
    if not inserted:
        return None
    return Edit(0, [inserted.head, Record(inserted.end, size_of(file) - inserted.end)])


class _Inserted(NamedTuple):
    head: bytes  # the map's original one
    records: Sequence[Record]
    end: int  # the offset of the map's original first entry


def _inserted(file: BinaryIO) -> _Inserted | None:
    """Return the entries of ``fill``, if the map begins with them."""
    try:
        key = _first_key(file)
        if key is None:
            return None
        at = value_at(file, 0).start
        inserted: list[Value] = []
        while len(inserted) <= _MOST_RECORDS and read_at(file, at, len(key)) == key:
            value = value_at(file, at + len(key))
            if not value.binary:
                break
            inserted.append(value)
            at = value.end
    except Malformed:
        return None
    mark = read_at(file, inserted[0].start, len(_MARK) + 5) if inserted else b""
    if not mark.startswith(_MARK) or read_at(file, at, len(key)) != key:
        return None
    head = mark[len(_MARK) : inserted[0].end - inserted[0].start]
    return _Inserted(head, [Record(each.start, each.end - each.start) for each in inserted[1:]], at)


def _first_key(file: BinaryIO) -> bytes | None:
    """Return the bytes of the first key, if the file begins with a map whose first key is short."""
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


class Malformed(ValueError):
    """The bytes are not msgpack, or have too many values."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value: the offsets of its content, and the number of values inside it that follow."""

    start: int
    end: int
    items: int = 0
    mapping: bool = False
    text: bool = False
    binary: bool = False
    extension: int | None = None


def values(file: BinaryIO, most: int) -> Iterator[Value]:
    """Yield the value at the start of the file, and all values inside it. Raise Malformed."""
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
