"""Read a zip archive's directory, believing nothing that it says of sizes and places.

Not ``zipfile``: it makes a large object of every entry, reads as much as it is told to, and
refuses a record whose checksum is wrong, which torch writes on request.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, overload

from jellyml.formats.record import Record, read_at, size_of

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF  # the true number is in the zip64 extra field
_ENCRYPTED = 1
# Some 500,000 entries. The directory is held whole, so it is bounded.
_LARGEST = 32 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the directory. What it says is a claim until ``Directory.locate``."""

    name: bytes
    header: int
    size: int
    method: int | None  # 0 stored, 8 deflated, None encrypted


class Directory(Sequence[Entry]):
    """The entries in their order, each read out of the directory's bytes when asked for."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start  # every record ends before
        self._data = data = read_at(file, start, size)
        self._places = array("L", _places(data))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [_entry(self._data, place) for place in self._places[index]]
        return _entry(self._data, self._places[index])

    def locate(self, entry: Entry) -> Record | None:
        """The entry's bytes, found by its local header; None where they cannot be."""
        if entry.method not in (0, 8) or entry.header + _LOCAL.size > self._start:
            return None
        header = read_at(self._file, entry.header, _LOCAL.size)
        signature, *_, name, extra = _LOCAL.unpack(header)
        offset = entry.header + _LOCAL.size + name + extra
        if signature != b"PK\3\4" or offset + entry.size > self._start:
            return None
        return Record(offset, entry.size, deflated=entry.method == 8)


def read_directory(file: BinaryIO) -> Directory | None:
    """The directory of an archive that begins where the file begins, else None.

    Archives end to end, as in a ``.distcp``, are no such thing: the last one's directory
    would hide the others.
    """
    end = _end(file)
    if not end:
        return None
    entries, size, start, stop = end
    if start + size != stop or size > _LARGEST:
        return None
    directory = Directory(file, start, size)
    return directory if len(directory) == entries else None


def _end(file: BinaryIO) -> tuple[int, int, int, int] | None:
    """How many entries, the directory's size and start by its own account, and where it stops."""
    length = size_of(file)
    tail_start = max(0, length - _END.size - _LOCATOR.size - _LONGEST_COMMENT)
    tail = read_at(file, tail_start, length - tail_start)
    at = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
    if at < 0:
        return None
    *_, entries, size, start, _ = _END.unpack_from(tail, at)
    if at < _LOCATOR.size or not tail.startswith(b"PK\6\7", at - _LOCATOR.size):
        return entries, size, start, tail_start + at
    _, _, stop, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    if stop + _END64.size > length:
        return None
    signature, *_, entries, size, start = _END64.unpack(read_at(file, stop, _END64.size))
    return (entries, size, start, stop) if signature == b"PK\6\6" else None


def _places(data: bytes) -> Iterator[int]:
    """Where in the directory each entry begins, up to the first that is none."""
    place = 0
    while place + _ENTRY.size <= len(data) and data.startswith(b"PK\1\2", place):
        following = place + _ENTRY.size + sum(struct.unpack_from("<3H", data, place + 28))
        if following > len(data):
            return
        yield place
        place = following


def _entry(data: bytes, place: int) -> Entry:
    fields = _ENTRY.unpack_from(data, place)
    flags, method, packed, unpacked, name, extra, header = (
        fields[index] for index in (3, 4, 8, 9, 10, 11, 16)
    )
    after_name = place + _ENTRY.size + name
    if _IN_EXTRA in (packed, unpacked, header):
        wide = _zip64(data[after_name : after_name + extra])
        # In this order, and only those that are missing.
        _, packed, header = (
            next(wide, each) if each == _IN_EXTRA else each for each in (unpacked, packed, header)
        )
    return Entry(
        name=data[place + _ENTRY.size : after_name],
        header=header,
        size=packed,
        method=None if flags & _ENCRYPTED else method,
    )


def _zip64(extra: bytes) -> Iterator[int]:
    """The numbers in the zip64 extra field, if there is one."""
    while len(extra) >= 4:
        field, size = struct.unpack_from("<2H", extra)
        if field == 1:
            numbers = extra[4 : 4 + size]
            yield from struct.unpack(f"<{len(numbers) // 8}Q", numbers[: len(numbers) // 8 * 8])
            return
        extra = extra[4 + size :]
