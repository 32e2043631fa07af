"""The arrays of a remote checkpoint: all of the file is read, by blocks of which a few are kept."""

import io
import os
import stat
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from jellyml.errors import JellyError
from jellyml.formats import format_of
from jellyml.remote.address import Remote
from jellyml.remote.far import ranges_of
from jellyml.tensors import Arrays, NoArrays, arrays_of

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 20
_KEPT = 4  # blocks: two threads read one file
# What lies in an archive is named only by reading at each array: all would be fetched twice.
_TWICE: Final = 64 << 20
_NAMED_AT_THE_BEGINNING = ("safetensors", "gguf", "npy")


def arrays_at(remote: Remote) -> Arrays:
    """None of them is read as yet. NoArrays, TooMuch, JellyError."""
    file = _Blocks(remote)
    if file.size > _TWICE:
        kind = format_of(file.open()).name
        if kind not in _NAMED_AT_THE_BEGINNING:
            raise NoArrays(
                f"The weights at {remote} cannot be named without fetching all of it ({kind}).",
                "download it, then name the file.",
            )
    return arrays_of(cast("Path", file))


class _Blocks:
    """A remote file that stands where a path stands, as far as arrays ask for one."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._ranges = ranges_of(remote)
        self.size = self._ranges.first(1, tail=False)[2]
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._turn = threading.Lock()

    def __str__(self) -> str:
        return str(self._remote)

    def is_dir(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, self.size, 0, 0, 0))

    def samefile(self, other: object) -> bool:
        return isinstance(other, _Blocks) and other._remote == self._remote

    def open(self, *_: object, **__: object) -> BinaryIO:
        return cast("BinaryIO", _Reader(self))

    def block(self, number: int) -> bytes:
        with self._turn:
            if number not in self._held:
                start = number * _BLOCK
                stop = min(self.size, start + _BLOCK)
                data = self._ranges.read(start, stop)
                if len(data) != stop - start:
                    raise JellyError("The server sent less than it was asked for.", "try again.")
                self._held[number] = data
                if len(self._held) > _KEPT:
                    self._held.popitem(last=False)
            self._held.move_to_end(number)
            return self._held[number]


class _Reader(io.RawIOBase):
    def __init__(self, file: _Blocks) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = max(0, (0, self._at, self._file.size)[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, view: object, /) -> int:
        """Up to the end of a block; less than was asked for is what a raw file may give."""
        room = memoryview(view).cast("B")  # type: ignore[arg-type]
        if self._at >= self._file.size or not room:
            return 0
        number, inside = divmod(self._at, _BLOCK)
        part = memoryview(self._file.block(number))[inside : inside + len(room)]
        room[: len(part)] = part
        self._at += len(part)
        return len(part)
