"""The kinds of checkpoint file, one module each, in the order in which they are asked.

To all of them what they look for is opaque bytes: they know no git, open no path, run no
pickle, and believe nothing that the file says of itself.
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

    records  the places where one of this kind may lie, the likeliest first. None of them is
             proved, and one may come twice.
    fill     the file with these records in it, for a file that ``strip`` finds nothing in.
             Raises CannotCarry with the reason where that could harm the file or a reader.
    strip    the file as it was before ``fill``, byte for byte; None where it was not filled.
    wipe     the file with records zeroed that came some other way, under a key for example;
             checksums are set, so that every loader goes on. Raises CannotCarry.
    """

    @property
    def name(self) -> str: ...
    def recognises(self, file: BinaryIO) -> bool: ...
    def records(self, file: BinaryIO, kind: RecordKind) -> Iterator[Record]: ...
    def fill(self, file: BinaryIO, payload: Payload) -> Edit: ...
    def strip(self, file: BinaryIO, keys: Sequence[str]) -> Edit | None: ...
    def wipe(self, file: BinaryIO, records: Sequence[Record]) -> Edit: ...


# Those that a few bytes tell come before those that take a walk, and what is sure before what
# could be chance. The scan recognises anything, so it is last.
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
    """The one that a file was found to be before; None for a folder."""
    return next((each for each in FORMATS if each.name == name), None)
