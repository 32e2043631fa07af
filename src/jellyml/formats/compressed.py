"""Compressed files: recognised by their first bytes, and refused with the reason."""

from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = "compressed"

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return _program(file) is not None


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Raise CannotCarry: bytes after a zlib or gzip stream make ``joblib.load`` use all memory."""
    raise CannotCarry(
        f"It is compressed ({_program(file)}), and its readers would take appended bytes for data."
    )


def _program(file: BinaryIO) -> str | None:
    return signatures.compression_of(read_at(file, 0, 8))
