"""HDF5 of Keras and h5py: the superblock has the end of the data, and readers stop there.

Writers do not: h5py in a writing mode may reuse the bytes after that end.
"""

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at, size_of

name = signatures.HDF5.name

# Superblock version -> offset of the end-of-file address.
_END_AT = {0: 40, 1: 44, 2: 28, 3: 28}
_WIDTH_AT = {0: 13, 1: 13, 2: 9, 3: 9}
_CAUTION = "A later write with h5py may overwrite it: fill the file again after changing it."

records = unknown.records
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return signatures.HDF5.matches(read_at(file, 0, signatures.HDF5.reach))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    end = _end(file)
    if end is None:
        raise CannotCarry("The end of its HDF5 data cannot be determined.")
    if end > size_of(file):
        raise CannotCarry("The file is cut off: its HDF5 data ends beyond it.")
    return replace(trailer.append(file, payload, align=8), caution=_CAUTION)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    """Return the edit, or None if the data has grown since: cutting would lose some of it."""
    edit, end = trailer.strip(file, keys), _end(file)
    return edit if edit and end is not None and end <= edit.keep else None


def _end(file: BinaryIO) -> int | None:
    """Return the offset after the data; None for an unknown superblock."""
    start = read_at(file, 0, 64)
    version = start[8] if len(start) == 64 else -1
    if version not in _END_AT or start[_WIDTH_AT[version]] != 8:
        return None
    return int(struct.unpack_from("<Q", start, _END_AT[version])[0])
