"""Read a zip archive's directory, believing nothing that it says of sizes and places.

Not ``zipfile``: it makes a large object of every entry, reads as much as it is told to, and
refuses a record whose checksum is wrong, which torch writes on request.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, overload
from weakref import WeakKeyDictionary

from jellyml.formats.record import Record, expect, may_begin_with, read_at, size_of

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_MANY = 0xFFFF  # entries; from here on the zip64 record has their number
_IN_EXTRA = 0xFFFFFFFF  # the true number is in the zip64 extra field
_ENCRYPTED = 1
_PADDING = 128  # torch aligns what it stores by a local header's extra field
_TAIL = 64 << 10  # holds the end record and all but the longest comments
# Some 500,000 entries. The directory is held whole, so it is bounded.
_LARGEST = 32 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the directory. What it says is a claim until ``Directory.locate``."""

    name: bytes
    header: int
    size: int
    method: int | None  # 0 stored, 8 deflated, None encrypted
    place: int  # where in the directory's bytes it begins


class Directory(Sequence[Entry]):
    """The entries in their order, each read out of the directory's bytes when asked for."""

    def __init__(self, file: BinaryIO, end: "_End", data: bytes, places: "array[int]") -> None:
        self._file = file
        self.start = end.start  # every record ends before
        self.data = data
        self.comment = end.comment
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [_entry(self.data, place) for place in self._places[index]]
        return _entry(self.data, self._places[index])

    def locate(self, entry: Entry, ahead: int = 0) -> Record | None:
        """The entry's bytes, found by its local header; None where they cannot be.

        ``ahead`` is how many of them are sure to be read.
        """
        if entry.method not in (0, 8) or entry.header + _LOCAL.size > self.start:
            return None
        if ahead:
            expect(self._file, entry.header, _LOCAL.size + len(entry.name) + _PADDING + ahead)
        header = read_at(self._file, entry.header, _LOCAL.size)
        signature, *_, name, extra = _LOCAL.unpack(header)
        offset = entry.header + _LOCAL.size + name + extra
        if signature != b"PK\3\4" or offset + entry.size > self.start:
            return None
        return Record(offset, entry.size, "deflated" if entry.method else "raw")


def read_directory(file: BinaryIO, length: int | None = None) -> Directory | None:
    """The directory of an archive that begins where the file begins, else None.

    ``length`` makes it the archive that ended there, before something was appended. Archives
    end to end, as in a ``.distcp``, are no such thing: the last one's directory would hide the
    others.
    """
    if not may_begin_with(file, b"PK\3\4"):
        return None
    end = _end(file, size_of(file) if length is None else length)
    if not end or end.start + end.size != end.stop or end.size > _LARGEST:
        return None
    directory = _known(file, end)
    return directory if len(directory) == end.entries else None


def _known(file: BinaryIO, end: "_End") -> Directory:
    """One that was read before, if the file still ends with it: it is asked for again and again."""
    known = _READ.get(file)
    if not known or known[0] != end:
        data = read_at(file, end.start, end.size)
        known = _READ[file] = end, data, array("L", _places(data))
    return Directory(file, *known)


# No Directory: it has the file, which would then never go.
_READ: "WeakKeyDictionary[BinaryIO, tuple[_End, bytes, array[int]]]" = WeakKeyDictionary()


def end_of(directory_size: int, start: int, entries: int, comment: bytes, *, wide: bool) -> bytes:
    """What follows a directory that starts at ``start``; ``wide`` with the zip64 records."""
    stop = start + directory_size
    wide = wide or stop >= _IN_EXTRA or entries >= _MANY
    before = b""
    if wide:
        before = _END64.pack(
            b"PK\6\6", _END64.size - 12, 45, 45, 0, 0, entries, entries, directory_size, start
        ) + _LOCATOR.pack(b"PK\6\7", 0, stop, 1)
    count = min(entries, _MANY)
    size, start = min(directory_size, _IN_EXTRA), min(start, _IN_EXTRA)
    return before + _END.pack(b"PK\5\6", 0, 0, count, count, size, start, len(comment)) + comment


class _End(NamedTuple):
    """What the archive's last bytes say of its directory, and where that stops."""

    entries: int
    size: int
    start: int
    stop: int
    comment: bytes


def _end(file: BinaryIO, length: int) -> _End | None:
    tail_start = max(0, length - _TAIL)
    tail = read_at(file, tail_start, length - tail_start)
    at = tail.rfind(b"PK\5\6", 0, len(tail) - _END.size + 4)
    if at < 0:
        return None
    *_, entries, size, start, _ = _END.unpack_from(tail, at)
    comment = tail[at + _END.size :]
    if at < _LOCATOR.size or not tail.startswith(b"PK\6\7", at - _LOCATOR.size):
        return _End(entries, size, start, tail_start + at, comment)
    _, _, stop, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    # Of two archives end to end the last one's places are the first one's too.
    if stop + _END64.size + _LOCATOR.size != tail_start + at:
        return None
    signature, *_, entries, size, start = _END64.unpack(read_at(file, stop, _END64.size))
    return _End(entries, size, start, stop, comment) if signature == b"PK\6\6" else None


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
        place=place,
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
