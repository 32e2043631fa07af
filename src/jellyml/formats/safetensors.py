"""safetensors: base64 in the header's metadata, which strict loaders do not look at.

Not a tensor of our own, which they refuse. The text goes right behind the opening of
``__metadata__``. It begins with a line feed, which no writer of the format puts there, so that
it can be told from entries that the writer was given, and taken out again; its length is a
multiple of 8, so that the tensors stay aligned.
"""

import base64
import re
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import signatures
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import CHUNK, Record, RecordKind, expect, read_at, size_of

name = signatures.SAFETENSORS.name

LONGEST_HEADER = 25_000_000  # what the Hugging Face hub reads
_LONGEST_READABLE = 100_000_000  # what safetensors reads
# An escaped quote before it, and it is the end of some longer name.
_METADATA = re.compile(rb'(?<!\\)"__metadata__"\s*:\s*\{')
_NEW = b'\n"__metadata__":{"format":"pt",'
_TEXT = re.compile(rb'"\s*:\s*"')
_TENSOR = re.compile(rb'"\s*:\s*\{([^{}]*)\}')
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*(\d{1,18})\s*,\s*(\d{1,18})\s*\]')
_VECTOR = re.compile(rb'"shape"\s*:\s*\[\s*\d+\s*\]')
_U8 = b'"U8"'
_SHORT = 256  # a small tensor's entry without its name
_MOST_NAMED, _MOST_UNNAMED = 1_000, 64

wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    size = _header_size(file)
    fits = 2 <= size <= min(_LONGEST_READABLE, size_of(file) - 8)
    reach = signatures.SAFETENSORS.reach
    return fits and signatures.SAFETENSORS.matches(read_at(file, 0, reach))


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Under the key: an entry of the metadata or a tensor; then any bytes that may be ours.

    The header is read and nothing else, ours first where there are several.
    """
    expect(file, 0, 8 + min(_header_size(file), _LONGEST_READABLE))
    for count, place in enumerate(_places(file, kind.key.encode() + b'"')):
        if count == _MOST_NAMED:
            break
        here = place + len(kind.key)
        behind = read_at(file, here, _SHORT)
        if text := _TEXT.match(behind):
            start = here + text.end()
            yield Record(start, next(_places(file, b'"', start), start) - start, "base64")
        elif tensor := _TENSOR.match(behind):
            for record in _tensor(file, tensor[1]):
                expect(file, record.offset, record.size)
                yield record
    for count, place in enumerate(_places(file, _U8)):
        if count == _MOST_UNNAMED:
            break
        start = max(8, place - _SHORT)
        near = read_at(file, start, place - start + _SHORT)
        yield from _tensor(file, _around(near, place - start))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    size = _header_size(file)
    header = read_at(file, 8, min(size, LONGEST_HEADER))
    metadata = _METADATA.search(header)
    at = metadata.end() if metadata else 1
    entries = b",".join(
        b'\n"%s":"%s"' % (key.encode(), base64.b64encode(data)) for key, data in payload.items()
    )
    text = entries if metadata else _NEW + entries + b"}"
    if not header[at:].lstrip().startswith(b"}"):
        text += b","
    text += b" " * (-(len(text) + 1) % 8) + b"\n"
    if size + len(text) > LONGEST_HEADER:
        raise CannotCarry(
            "With the snapshot its header would be over 25,000,000 bytes, "
            "more than the Hugging Face hub reads."
        )
    return _edited(file, size + len(text), at, text, at)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    size = _header_size(file)
    if size > LONGEST_HEADER:  # fill makes none
        return None
    header = read_at(file, 8, size)
    names = b"|".join(re.escape(key.encode()) for key in keys)
    entries = rb'\n"(?:%s)":"[\w+/=]*"(?:,\n"(?:%s)":"[\w+/=]*")*' % (names, names)
    metadata = _METADATA.search(header)
    ours = re.compile(re.escape(_NEW) + entries + rb"\},? *\n").match(header, 1) or (
        metadata and re.compile(entries + rb",? *\n").match(header, metadata.end())
    )
    if not ours:
        return None
    return _edited(file, size - len(ours[0]), ours.start(), b"", ours.end())


def _edited(file: BinaryIO, size: int, start: int, text: bytes, stop: int) -> Edit:
    """The file with other text from ``start`` to ``stop`` of its header, which gets this size."""
    before, after = Record(8, start), Record(8 + stop, size_of(file) - 8 - stop)
    return Edit(0, [struct.pack("<Q", size), before, *([text] if text else []), after])


def _header_size(file: BinaryIO) -> int:
    start = read_at(file, 0, 8)
    return int(struct.unpack("<Q", start)[0]) if len(start) == 8 else 0


def _places(file: BinaryIO, wanted: bytes, start: int = 8) -> Iterator[int]:
    """Where these bytes are in the header from ``start`` on."""
    stop = 8 + min(_header_size(file), _LONGEST_READABLE)
    for at in range(start, stop, CHUNK):
        block = read_at(file, at, min(CHUNK + len(wanted) - 1, stop - at))
        place = block.find(wanted)
        while place >= 0:
            yield at + place
            place = block.find(wanted, place + 1)


def _around(text: bytes, place: int) -> bytes:
    """What is inside the braces around this place."""
    start, stop = text.rfind(b"{", 0, place), text.find(b"}", place)
    return text[start + 1 : stop] if 0 <= start < stop else b""


def _tensor(file: BinaryIO, entry: bytes) -> Iterator[Record]:
    """Where the bytes of a one-dimensional uint8 tensor lie."""
    offsets = _OFFSETS.search(entry)
    if offsets and _U8 in entry and _VECTOR.search(entry):
        start, stop = int(offsets[1]), int(offsets[2])
        if start < stop:
            yield Record(8 + _header_size(file) + start, stop - start)
