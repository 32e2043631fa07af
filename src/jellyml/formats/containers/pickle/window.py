"""A pickle in a file as a ``Program``: only the block around the current offset is in memory."""

from typing import BinaryIO, overload

from jellyml.formats.record import read_at

_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 20
_LONGEST_PART = 1 << 12  # bytes of a slice; no caller needs a longer one


class Window:
    """``size`` bytes of a file from ``offset``, by default to its end."""

    def __init__(self, file: BinaryIO, offset: int = 0, size: int = 1 << 62) -> None:
        self._file = file
        self._offset = offset
        self._size = size
        self._start = 0
        self._block = b""

    @overload
    def __getitem__(self, place: int, /) -> int: ...
    @overload
    def __getitem__(self, place: slice, /) -> bytes: ...
    def __getitem__(self, place: int | slice, /) -> int | bytes:
        if isinstance(place, slice):
            stop = min(place.stop, place.start + _LONGEST_PART)
            self._hold(place.start, stop)
            return self._block[place.start - self._start : stop - self._start]
        self._hold(place, place + 1)
        return self._block[place - self._start]

    def index(self, part: bytes, start: int, /) -> int:
        for place in range(start, start + _LONGEST_LINE, _BLOCK):
            offset = self._read(place).find(part)
            if offset >= 0:
                return place + offset
        raise ValueError("no such line")

    def _hold(self, start: int, stop: int) -> None:
        if not self._start <= start <= stop <= self._start + len(self._block):
            self._start = start
            self._block = self._read(start)

    def _read(self, start: int) -> bytes:
        size = min(_BLOCK, self._size - start)
        return read_at(self._file, self._offset + start, size) if size > 0 else b""
