"""NumPy's ``.npz``: an archive of arrays, to which two arrays are added.

MLX reads every member as an array, so another kind of member would break it.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jellyml.formats import npy, signatures
from jellyml.formats.containers import zip as zip_archive
from jellyml.formats.containers.zip import Directory
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Record, RecordKind

name = signatures.NPZ.name

_ENDING = b".npy"

wipe = zip_archive.wipe


def recognises(file: BinaryIO) -> bool:
    names = list(zip_archive.names(file))
    return bool(names) and all(name.endswith(_ENDING) for name in names)


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Yield the arrays of that name, then every array, also compressed ones."""
    yield from _arrays(file, zip_archive.members(file, kind, _name))
    yield from _arrays(file, zip_archive.every(file))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return zip_archive.append(file, payload, _name, npy.header_for)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    return zip_archive.strip(file, keys, _name)


def _arrays(file: BinaryIO, members: Iterator[Record]) -> Iterator[Record]:
    for member in members:
        start = npy.data_offset(member.head(file, 12))
        if start and (array := member.part(start, member.size - start)):
            yield array


def _name(directory: Directory, key: str) -> bytes:
    return key.encode() + _ENDING
