"""A file that is compressed as a whole: told by its first bytes, so as to say why it is refused."""

from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = "compressed"

_PROGRAMS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"]\0\0": "lzma",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "zlib",
    b"\x78\x5e": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return _program(file) is not None


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Bytes behind a zlib or gzip stream make ``joblib.load`` take all memory."""
    raise CannotCarry(
        f"It is compressed ({_program(file)}), and its readers take what is appended for data."
    )


def _program(file: BinaryIO) -> str | None:
    start = read_at(file, 0, 8)
    return next((known for magic, known in _PROGRAMS.items() if start.startswith(magic)), None)
