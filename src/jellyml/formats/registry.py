"""The formats of checkpoint files, one module each, in the order in which they are tried.

A format module treats a record as opaque bytes. It uses no git, opens no path, runs no pickle,
and trusts no field of the file.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol

from jellyml.formats import (
    compressed,
    flax_msgpack,
    gguf,
    hdf5,
    keras,
    npy,
    npz,
    onnx,
    pickle,
    safetensors,
    skops,
    tflite,
    torch_legacy,
    torch_zip,
    unknown,
)
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Record, RecordKind


class Format(Protocol):
    """What a format module provides; ``FORMATS`` lists them all.

    records  yields the places where a record of this kind may be, the likeliest first. They are
             not verified, and one may come twice.
    fill     returns the edit that adds the records, for a file without any (``strip`` is None).
             Raises CannotCarry with the reason if that could harm the file or a reader.
    strip    returns the edit that undoes ``fill``, byte for byte; None if it was not filled.
    wipe     returns the edit that zeroes records that ``fill`` did not add, such as those under
             a key. Checksums are corrected, so that loaders accept the file. Raises CannotCarry.
    """

    @property
    def name(self) -> str: ...
    def recognises(self, file: BinaryIO) -> bool: ...
    def records(self, file: BinaryIO, kind: RecordKind) -> Iterator[Record]: ...
    def fill(self, file: BinaryIO, payload: Payload) -> Edit: ...
    def strip(self, file: BinaryIO, keys: Sequence[str]) -> Edit | None: ...
    def wipe(self, file: BinaryIO, records: Sequence[Record]) -> Edit: ...


# Formats with magic bytes come before those that need a walk, and certain ones before
# heuristics. ``unknown`` recognises any file, so it is last.
FORMATS: Sequence[Format] = (
    torch_zip,
    safetensors,
    gguf,
    hdf5,
    npy,
    tflite,
    torch_legacy,
    pickle,
    npz,
    keras,
    skops,
    onnx,
    compressed,
    flax_msgpack,
    unknown,
)


def format_of(file: BinaryIO) -> Format:
    return next(each for each in FORMATS if each.recognises(file))


def format_named(name: str) -> Format | None:
    """Return the format of this name; None for that of a folder."""
    return next((each for each in FORMATS if each.name == name), None)
