"""A ``.keras`` archive: Keras reads the members it knows and passes over others."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jellyml.formats import zip_members
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Kind, Record
from jellyml.formats.zip_directory import Directory

name = "Keras"

_MEMBERS = {b"metadata.json", b"config.json"}

wipe = zip_members.wipe


def recognises(file: BinaryIO) -> bool:
    return set(zip_members.names(file)) >= _MEMBERS


def records(file: BinaryIO, kind: Kind) -> Iterator[Record]:
    yield from zip_members.members(file, kind, _name)
    yield from zip_members.every(file)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return zip_members.append(file, payload, _name)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    return zip_members.strip(file, keys, _name)


def _name(directory: Directory, key: str) -> bytes:
    return key.encode()
