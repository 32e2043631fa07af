"""Append members to a zip archive without changing a byte of it, and cut them off again.

Behind the old end come the members, a new directory (the old one's bytes, then theirs) and a new
end. Not ``zipfile``, whose mode ``a`` writes over the old directory: a kill there loses it.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats.edit import Buffer, Edit, Payload, zeroed
from jellyml.formats.record import Kind, Record, read_at, size_of
from jellyml.formats.zip_directory import Directory, Entry, end_of, read_directory

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_VERSION = 20  # the version of the format that stored members need; 45 with zip64
_WIDE_VERSION = 45
_WIDE = 0xFFFFFFFF
_UTF8 = 0x800
_DESCRIBED = 8  # a data descriptor with the checksum follows the data
_EPOCH = (0, 0x21)  # 1980-01-01, so that the same bytes give the same file
_CRC_IN_LOCAL, _CRC_IN_ENTRY = 14, 16

Name = Callable[[Directory, str], bytes]


def append(
    file: BinaryIO, payload: Payload, name: Name, head: Callable[[int], bytes] = lambda _: b""
) -> Edit:
    """The archive with a member for each record, stored; ``head`` comes before one of its size."""
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


def members(file: BinaryIO, kind: Kind, name: Name) -> Iterator[Record]:
    """The members of that name, the newest first."""
    if directory := read_directory(file):
        wanted = name(directory, kind.key)
        for entry in reversed(directory):
            if entry.name == wanted and (record := directory.locate(entry)):
                yield record


def every(file: BinaryIO) -> Iterator[Record]:
    """All members, whatever they are called, the last first."""
    directory = read_directory(file)
    for entry in reversed(directory or ()):
        if record := directory and directory.locate(entry):
            yield record


def names(file: BinaryIO) -> Iterator[bytes]:
    """The members' names, none if it is no archive."""
    return (entry.name for entry in read_directory(file) or ())


def strip(file: BinaryIO, keys: Sequence[str], name: Name) -> Edit | None:
    """The archive as it was before members of ours were appended; None where its end is not ours.

    That the old archive's directory is how the new one begins is the proof.
    """
    directory = read_directory(file)
    if not directory:
        return None
    ours = {name(directory, key) for key in keys}
    last = list(_last_ones(directory, ours))
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
    """The archive with these stretches of its members zeroed, and the members' checksums set."""
    directory = read_directory(file)
    assert directory is not None, "records were found by it"
    patches: dict[int, bytes] = {}
    for entry in directory:
        member = directory.locate(entry)
        hit = [each for each in records if member and _overlap(each, member)]
        if member and hit:
            if member.encoded:
                raise CannotCarry("It lies compressed in the archive and cannot be wiped there.")
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
        # The local header has no place in it, so its extra field is the shorter one.
        local_extra = b"" if narrow else struct.pack("<2H", 1, 16) + numbers[:16]
        extra = b"" if narrow else struct.pack("<2H", 1, 24) + numbers
        version = _VERSION if narrow else _WIDE_VERSION
        flags = 0 if name.isascii() else _UTF8
        common = (version, flags, 0, *_EPOCH, crc, *sizes, len(name))
        self.local = _LOCAL.pack(b"PK\3\4", *common, len(local_extra)) + name + local_extra
        self.entry = (
            _ENTRY.pack(b"PK\1\2", version, *common, len(extra), 0, 0, 0, 0, place) + name + extra
        )
