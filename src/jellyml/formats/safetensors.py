"""safetensors: base64 in the header's metadata, which strict loaders ignore.

They refuse an additional tensor. The text is inserted after the opening brace of
``__metadata__``. It begins with a line feed, which no writer of the format puts there: so
``strip`` can tell it from the user's entries and remove it. Its length is a multiple of 8, so that
the tensors stay aligned.
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

LONGEST_HEADER = 25_000_000  # the limit of the Hugging Face hub
_LONGEST_READABLE = 100_000_000  # the limit of safetensors
# After an escaped quote it is the end of a longer name.
_METADATA = re.compile(rb'(?<!\\)"__metadata__"\s*:\s*\{')
_NEW = b'\n"__metadata__":{"format":"pt",'
_TEXT = re.compile(rb'"\s*:\s*"')
_TENSOR = re.compile(rb'"\s*:\s*\{([^{}]*)\}')
_OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*(\d{1,18})\s*,\s*(\d{1,18})\s*\]')
_VECTOR = re.compile(rb'"shape"\s*:\s*\[\s*\d+\s*\]')
_U8 = b'"U8"'
_SHORT = 256  # bytes of a small tensor's entry without its name
_MOST_NAMED, _MOST_UNNAMED = 1_000, 64

wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    size = _header_size(file)
    fits = 2 <= size <= min(_LONGEST_READABLE, size_of(file) - 8)
    reach = signatures.SAFETENSORS.reach
    return fits and signatures.SAFETENSORS.matches(read_at(file, 0, reach))


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Yield the metadata or tensor under the key, then every one-dimensional uint8 tensor.

    Only the header is read.
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
    if size > LONGEST_HEADER:  # fill does not write one
        return None
    header = read_at(file, 8, size)
    names = b"|".join(re.escape(key.encode()) for key in keys)
    entries = rb'\n"(?:%s)":"[\w+/=]*"(?:,\n"(?:%s)":"[\w+/=]*")*' % (names, names)
    metadata = _METADATA.search(header)
    inserted = re.compile(re.escape(_NEW) + entries + rb"\},? *\n").match(header, 1) or (
        metadata and re.compile(entries + rb",? *\n").match(header, metadata.end())
    )
    if not inserted:
        return None
    return _edited(file, size - len(inserted[0]), inserted.start(), b"", inserted.end())


def _edited(file: BinaryIO, size: int, start: int, text: bytes, stop: int) -> Edit:
    """Return the edit that replaces ``start`` to ``stop`` of the header, of ``size`` bytes then."""
    before, after = Record(8, start), Record(8 + stop, size_of(file) - 8 - stop)
    return Edit(0, [struct.pack("<Q", size), before, *([text] if text else []), after])


def _header_size(file: BinaryIO) -> int:
    start = read_at(file, 0, 8)
    return int(struct.unpack("<Q", start)[0]) if len(start) == 8 else 0


def _places(file: BinaryIO, wanted: bytes, start: int = 8) -> Iterator[int]:
    """Yield the offsets of ``wanted`` in the header, from ``start``."""
    stop = 8 + min(_header_size(file), _LONGEST_READABLE)
    for at in range(start, stop, CHUNK):
        block = read_at(file, at, min(CHUNK + len(wanted) - 1, stop - at))
        place = block.find(wanted)
        while place >= 0:
            yield at + place
            place = block.find(wanted, place + 1)


def _around(text: bytes, place: int) -> bytes:
    """Return the text inside the braces around this offset."""
    start, stop = text.rfind(b"{", 0, place), text.find(b"}", place)
    return text[start + 1 : stop] if 0 <= start < stop else b""


def _tensor(file: BinaryIO, entry: bytes) -> Iterator[Record]:
    """Yield the bytes of a tensor if it is one-dimensional and uint8."""
    offsets = _OFFSETS.search(entry)
    if offsets and _U8 in entry and _VECTOR.search(entry):
        start, stop = int(offsets[1]), int(offsets[2])
        if start < stop:
            yield Record(8 + _header_size(file) + start, stop - start)
