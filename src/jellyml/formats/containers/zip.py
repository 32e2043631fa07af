"""Zip archives: read an untrusted directory, append members, and remove them again.

Idea: members are appended after the old end of the archive, with a new directory that begins
with the old one. Invariant: cutting the file at the first appended member restores every byte.
"""

import struct
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, overload
from weakref import WeakKeyDictionary, finalize

from jellyml.budget import Kept
from jellyml.errors import CannotCarry
from jellyml.formats import signatures
from jellyml.formats.edit import Buffer, Edit, Payload, zeroed
from jellyml.formats.record import Record, RecordKind, expect, may_begin_with, read_at, size_of
from jellyml.formats.source import budget_of

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_MANY = 0xFFFF  # entries; with more, the zip64 record has their number
_IN_EXTRA = 0xFFFFFFFF  # the number is in the zip64 extra field
_ENCRYPTED = 1
_PADDING = 128  # torch pads a local header's extra field to align the data
_TAIL = 64 << 10  # bytes that hold the end record, except with the longest comments
# Bytes of a directory, about 500,000 entries. It is read whole, so it is bounded.
_LARGEST = 32 << 20
_NAME = 200  # bytes that an entry's name takes in a mapping

_VERSION = 20  # the version of the format that stored members need; 45 with zip64
_WIDE_VERSION = 45
_WIDE = 0xFFFFFFFF
_UTF8 = 0x800
_DESCRIBED = 8  # a data descriptor with the checksum follows the data
_EPOCH = (0, 0x21)  # 1980-01-01, so that the same bytes give the same file
_CRC_IN_LOCAL, _CRC_IN_ENTRY = 14, 16


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the directory. ``Directory.locate`` checks it; until then it is untrusted."""

    name: bytes
    header: int
    size: int
    method: int | None  # 0 stored, 8 deflated, None encrypted
    place: int  # its offset in the directory


class Directory(Sequence[Entry]):
    """The entries in their order, each parsed on demand."""

    def __init__(self, file: BinaryIO, end: "_End", data: bytes, places: "array[int]") -> None:
        self._file = file
        self.start = end.start  # every member ends before it
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

    def names(self) -> Iterator[bytes]:
        """Return the name of each entry, faster than parsing the entries."""
        return (_name(self.data, place) for place in self._places)

    def below(self, prefix: bytes, among: Set[bytes] | None = None) -> Mapping[bytes, int]:
        """Return name without ``prefix`` -> index of each entry below the prefix.

        With ``among``, only of these names. Of two entries with one name the last is returned.
        """
        rests = (
            (name[len(prefix) :], index)
            for index, name in enumerate(self.names())
            if name.startswith(prefix)
        )
        return {rest: index for rest, index in rests if among is None or rest in among}

    def storages(self, prefix: bytes) -> Iterator[Entry]:
        """Yield the entries named ``prefix`` and a number: the storages of torch."""
        for place in self._places:
            if _storage(self.data, place, prefix):
                yield _entry(self.data, place)

    def without_storages(self, prefix: bytes, numbers: Set[bytes]) -> Iterator[Entry]:
        """Yield the entries except the storages with these numbers, the last first."""
        for place in reversed(self._places):
            if _storage(self.data, place, prefix) not in numbers:
                yield _entry(self.data, place)

    def locate(self, entry: Entry, ahead: int = 0) -> Record | None:
        """Return the record of the entry's bytes, by its local header; None if it is invalid.

        The caller will read ``ahead`` bytes of it, which are fetched together.
        """
        if entry.method not in (0, 8) or entry.header + _LOCAL.size > self.start:
            return None
        if ahead:
            expect(self._file, entry.header, _LOCAL.size + len(entry.name) + _PADDING + ahead)
        header = read_at(self._file, entry.header, _LOCAL.size)
        signature, *_, name, extra = _LOCAL.unpack(header)
        offset = entry.header + _LOCAL.size + name + extra
        if signature != signatures.ZIP or offset + entry.size > self.start:
            return None
        return Record(offset, entry.size, "deflated" if entry.method else "raw")


def read_directory(file: BinaryIO, length: int | None = None) -> Directory | None:
    """Return the directory of an archive that begins at offset 0, else None.

    ``length`` is the end of the archive in bytes, by default that of the file. A file of several
    archives, such as ``.distcp``, has none: the last directory would hide the other archives.
    """
    if not may_begin_with(file, signatures.ZIP):
        return None
    end = _end(file, size_of(file) if length is None else length)
    if not end or end.start + end.size != end.stop or end.size > _LARGEST:
        return None
    directory = _known(file, end)
    return directory if len(directory) == end.entries else None


def _known(file: BinaryIO, end: "_End") -> Directory:
    """Return the directory, from the cache if the file still has the same end record."""
    known = _READ.get(file)
    if not known or known[0] != end:
        budget = budget_of(file)
        taken = Kept(budget)
        finalize(file, taken.drop)
        # The directory, and the names that a reader keeps of it.
        taken.add(2 * end.size + _NAME * min(end.entries, end.size // _ENTRY.size))
        data = read_at(file, end.start, end.size)
        known = _READ[file] = end, data, array("L", _places(data))
        budget.step(len(known[2]))
    return Directory(file, *known)


# It holds no Directory, which refers to the file and would keep it open.
_READ: "WeakKeyDictionary[BinaryIO, tuple[_End, bytes, array[int]]]" = WeakKeyDictionary()


def end_of(directory_size: int, start: int, entries: int, comment: bytes, *, wide: bool) -> bytes:
    """Return the end records of a directory at ``start``; ``wide`` adds those of zip64."""
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
    """The end record of an archive; ``stop`` is the end of its directory."""

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
    # In a file of two archives, offsets of the second are relative to its own start.
    if stop + _END64.size + _LOCATOR.size != tail_start + at:
        return None
    signature, *_, entries, size, start = _END64.unpack(read_at(file, stop, _END64.size))
    return _End(entries, size, start, stop, comment) if signature == b"PK\6\6" else None


def _places(data: bytes) -> Iterator[int]:
    """Yield the offset of each entry in the directory, up to the first invalid one."""
    place = 0
    while place + _ENTRY.size <= len(data) and data.startswith(b"PK\1\2", place):
        following = place + _ENTRY.size + sum(struct.unpack_from("<3H", data, place + 28))
        if following > len(data):
            return
        yield place
        place = following


def _name(data: bytes, place: int) -> bytes:
    start = place + _ENTRY.size
    return data[start : start + int.from_bytes(data[place + 28 : place + 30], "little")]


def _storage(data: bytes, place: int, prefix: bytes) -> bytes:
    """Return the number in the name of a storage; empty for other entries."""
    if not data.startswith(prefix, place + _ENTRY.size):  # faster than parsing the name
        return b""
    number = _name(data, place)[len(prefix) :]
    return number if number.isdigit() else b""


def _entry(data: bytes, place: int) -> Entry:
    fields = _ENTRY.unpack_from(data, place)
    flags, method, packed, unpacked, name, extra, header = (
        fields[index] for index in (3, 4, 8, 9, 10, 11, 16)
    )
    after_name = place + _ENTRY.size + name
    if _IN_EXTRA in (packed, unpacked, header):
        wide = _zip64(data[after_name : after_name + extra])
        # The extra field has only the missing numbers, in this order.
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
    """Yield the numbers in the zip64 extra field, if there is one."""
    while len(extra) >= 4:
        field, size = struct.unpack_from("<2H", extra)
        if field == 1:
            numbers = extra[4 : 4 + size]
            yield from struct.unpack(f"<{len(numbers) // 8}Q", numbers[: len(numbers) // 8 * 8])
            return
        extra = extra[4 + size :]


Name = Callable[[Directory, str], bytes]


def append(
    file: BinaryIO, payload: Payload, name: Name, head: Callable[[int], bytes] = lambda _: b""
) -> Edit:
    """Return the edit that appends a stored member per record.

    ``head`` returns the bytes before a record of this size. Raise CannotCarry if the archive's
    directory is damaged or too large.
    """
    directory = read_directory(file)
    if directory is None:
        raise CannotCarry("The archive's directory is damaged or too large.")
    at = before = size_of(file)
    entries, parts = directory.data, list[Buffer]()
    for key, record in payload.items():
        first = head(len(record))
        member = _Member(name(directory, key), first, record, at)
        parts += [part for part in (member.local, first, record) if part]
        entries += member.entry
        at += len(member.local) + len(first) + len(record)
    wide = b"PK\6\6" in read_at(file, directory.start + len(directory.data), 4)
    count = len(directory) + len(payload)
    end = end_of(len(entries), at, count, directory.comment, wide=wide)
    return Edit(before, [*parts, entries + end])


def members(file: BinaryIO, kind: RecordKind, name: Name) -> Iterator[Record]:
    """Yield the members of that name, the newest first."""
    if directory := read_directory(file):
        wanted = name(directory, kind.key)
        for entry in reversed(directory):
            if entry.name == wanted and (record := directory.locate(entry)):
                yield record


def every(file: BinaryIO) -> Iterator[Record]:
    """Yield all members, the last first."""
    directory = read_directory(file)
    for entry in reversed(directory or ()):
        if record := directory and directory.locate(entry):
            yield record


def names(file: BinaryIO) -> Iterator[bytes]:
    """Return the names of the members; none if the file is not an archive."""
    directory = read_directory(file)
    return directory.names() if directory else iter(())


def strip(file: BinaryIO, keys: Sequence[str], name: Name) -> Edit | None:
    """Return the edit that removes the members with these keys from the end of the archive.

    Return None if the archive does not end with them, or if the directory before them is not
    the beginning of the present one.
    """
    directory = read_directory(file)
    if not directory:
        return None
    names = {name(directory, key) for key in keys}
    last = list(_last_ones(directory, names))
    if not last:
        return None
    before = min(entry.header for entry in last)
    old = read_directory(file, before)
    if old is None or old.data != directory.data[: last[-1].place]:
        return None
    return Edit(before)


def _last_ones(directory: Directory, names: set[bytes]) -> Iterator[Entry]:
    for entry in reversed(directory):
        if entry.name not in names:
            return
        yield entry


def wipe(file: BinaryIO, records: Sequence[Record]) -> Edit:
    """Return the edit that zeroes records inside members and corrects the members' checksums.

    Raise CannotCarry if one of the members is compressed.
    """
    directory = read_directory(file)
    assert directory is not None, "records were found by it"
    patches: dict[int, bytes] = {}
    for entry in directory:
        member = directory.locate(entry)
        hit = [each for each in records if member and _overlap(each, member)]
        if member and hit:
            if member.encoded:
                raise CannotCarry("It is compressed in the archive and cannot be wiped there.")
            patches |= _checksums(file, directory, entry, member, hit)
    return zeroed(file, records, patches)


def _overlap(one: Record, other: Record) -> bool:
    return one.offset < other.offset + other.size and other.offset < one.offset + one.size


def _checksums(
    file: BinaryIO, directory: Directory, entry: Entry, member: Record, wiped: Sequence[Record]
) -> Mapping[int, bytes]:
    crc = struct.pack("<L", _crc_of_wiped(file, member, wiped))
    places = {directory.start + entry.place + _CRC_IN_ENTRY: crc}
    flags = struct.unpack("<H", read_at(file, entry.header + 6, 2))[0]
    if not flags & _DESCRIBED:
        return places | {entry.header + _CRC_IN_LOCAL: crc}
    end = member.offset + member.size
    signed = read_at(file, end, 4) == b"PK\7\10"  # the signature is optional
    return places | {end + 4 * signed: crc}


def _crc_of_wiped(file: BinaryIO, member: Record, wiped: Sequence[Record]) -> int:
    crc, at = 0, member.offset
    for chunk in member.chunks(file):
        data = bytearray(chunk)
        for record in wiped:
            start = max(0, record.offset - at)
            stop = min(len(data), record.offset + record.size - at)
            if start < stop:
                data[start:stop] = bytes(stop - start)
        crc, at = zlib.crc32(data, crc), at + len(data)
    return crc


class _Member:
    """The two headers of a stored member."""

    def __init__(self, name: bytes, head: bytes, data: Buffer, at: int) -> None:
        size = len(head) + len(data)
        crc = zlib.crc32(data, zlib.crc32(head))
        narrow = size < _WIDE and at < _WIDE
        numbers = struct.pack("<3Q", size, size, at)
        sizes, place = ((size, size), at) if narrow else ((_WIDE, _WIDE), _WIDE)
        # The local header has no offset, so its extra field is shorter.
        local_extra = b"" if narrow else struct.pack("<2H", 1, 16) + numbers[:16]
        extra = b"" if narrow else struct.pack("<2H", 1, 24) + numbers
        version = _VERSION if narrow else _WIDE_VERSION
        flags = 0 if name.isascii() else _UTF8
        common = (version, flags, 0, *_EPOCH, crc, *sizes, len(name))
        self.local = _LOCAL.pack(signatures.ZIP, *common, len(local_extra)) + name + local_extra
        self.entry = (
            _ENTRY.pack(b"PK\1\2", version, *common, len(extra), 0, 0, 0, 0, place) + name + extra
        )
