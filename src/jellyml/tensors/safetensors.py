"""The arrays of a safetensors file: the header is read one entry at a time, at any length."""

import json
import re
from collections.abc import Iterator
from math import prod
from typing import BinaryIO

from jellyml.formats.containers.pickle.objects import MOST_ARRAYS, TooMuch
from jellyml.formats.record import read_at, size_of
from jellyml.formats.source import ByteSource
from jellyml.tensors.byte_range import ByteRange
from jellyml.tensors.dtypes import DType, of_safetensors
from jellyml.tensors.lazy_array import NOT_THERE, LazyArray

_BLOCK = 1 << 16
_LONGEST_ENTRY = 1 << 14
_LARGEST = 1 << 48
_ENTRY_STEPS = 10  # parsing an entry takes as long
_METADATA = re.compile(rb'\s*(?:,\s*)?"__metadata__"\s*:\s*\{')
_TEXT = re.compile(rb'\s*(?:,\s*)?(?:"[^"\\]*(?:\\.[^"\\]*)*"\s*:\s*)?"')
_ENTRY = re.compile(rb'\s*(?:,\s*)?("(?:[^"\\]|\\.)*")\s*:\s*(\{[^{}]*\})', re.DOTALL)
_END = re.compile(rb"\s*\}")


def of_file(file: BinaryIO, source: ByteSource) -> Iterator[LazyArray]:
    """Yield the arrays. Raise TooMuch if the header is damaged."""
    size = int.from_bytes(read_at(file, 0, 8), "little")
    header = _Header(file, size)
    start, length = 8 + size, size_of(file)
    try:
        for count, (name, entry) in enumerate(header.entries()):
            source.budget.step(_ENTRY_STEPS)
            if count == MOST_ARRAYS:
                raise TooMuch(f"{source} names more than {MOST_ARRAYS:,} arrays.")
            yield _array(name, entry, source, start, length - start)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TooMuch(f"The header of {source} is damaged.") from None


class _Header:
    """The header's text; only the part at the current offset is in memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._stop = 8 + size
        self._next = 8
        self._buffer = b""

    def entries(self) -> Iterator[tuple[str, dict[str, object]]]:
        """Yield the name and the fields of each array. Raise ValueError if malformed."""
        self._fill()
        if not self._buffer.startswith(b"{"):
            raise ValueError
        self._buffer = self._buffer[1:]
        while True:
            self._fill()
            if _END.match(self._buffer):
                return
            if metadata := _METADATA.match(self._buffer):
                self._buffer = self._buffer[metadata.end() :]
                self._pass_texts()
            elif entry := _ENTRY.match(self._buffer, 0, _LONGEST_ENTRY):
                self._buffer = self._buffer[entry.end() :]
                fields = json.loads(entry[2])
                yield str(json.loads(entry[1])), fields
            else:
                raise ValueError

    def _fill(self) -> None:
        if len(self._buffer) < _LONGEST_ENTRY and self._next < self._stop:
            size = min(_BLOCK, self._stop - self._next)
            self._buffer += read_at(self._file, self._next, size)
            self._next += size

    def _pass_texts(self) -> None:
        """Skip strings to after their closing brace; one may be longer than the buffer."""
        while True:
            self._fill()
            if end := _END.match(self._buffer):
                self._buffer = self._buffer[end.end() :]
                return
            begun = _TEXT.match(self._buffer, 0, _LONGEST_ENTRY)
            if not begun:
                raise ValueError
            self._buffer = self._buffer[begun.end() :]
            self._pass_text()

    def _pass_text(self) -> None:
        """Skip a string to after its closing quote, which is not an escaped one."""
        at = 0
        while True:
            quote = self._buffer.find(b'"', at)
            if quote < 0:
                # Trailing backslashes belong to the next byte: they stay in the buffer.
                backslashes = len(self._buffer) - len(self._buffer.rstrip(b"\\"))
                self._buffer = self._buffer[len(self._buffer) - backslashes :]
                before = len(self._buffer)
                self._fill()
                if len(self._buffer) == before:
                    raise ValueError
                at = backslashes
                continue
            before_it = self._buffer[:quote]
            escapes = len(before_it) - len(before_it.rstrip(b"\\"))
            if escapes % 2 == 0:
                self._buffer = self._buffer[quote + 1 :]
                return
            at = quote + 1


def _array(
    name: str, entry: dict[str, object], source: ByteSource, start: int, room: int
) -> LazyArray:
    shape, place = entry["shape"], entry["data_offsets"]
    if not (isinstance(shape, list) and isinstance(place, list)):
        raise TypeError
    sizes = tuple(size for size in shape if type(size) is int and 0 <= size < _LARGEST)
    first, last = place
    if len(sizes) < len(shape) or not (isinstance(first, int) and isinstance(last, int)):
        raise ValueError
    dtype = str(entry["dtype"])
    kind = of_safetensors(dtype)
    if kind is None:
        return LazyArray(name, sizes, DType(dtype, 1), None, flaw="its type is not known")
    flaw = ""
    if not 0 <= first <= last <= room or last - first != kind.bytes_of(prod(sizes)):
        flaw = NOT_THERE
    return LazyArray(name, sizes, kind, ByteRange(source, start + first, last - first), flaw=flaw)
