"""``.keras`` archives: Keras reads the members that it knows and ignores others."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jellyml.formats import signatures
from jellyml.formats.containers import zip as zip_archive
from jellyml.formats.containers.zip import Directory
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Record, RecordKind

name = signatures.KERAS.name

wipe = zip_archive.wipe


def recognises(file: BinaryIO) -> bool:
    return signatures.KERAS.members <= set(zip_archive.names(file))


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    yield from zip_archive.members(file, kind, _name)
    yield from zip_archive.every(file)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return zip_archive.append(file, payload, _name)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    return zip_archive.strip(file, keys, _name)


def _name(directory: Directory, key: str) -> bytes:
    return key.encode()
