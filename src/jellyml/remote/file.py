"""A remote file as an open one: what is read is fetched by ranges, and kept.

Who knows what is read next says so (``expect``), so that it comes in one piece.
"""

import io
from typing import Protocol

from jellyml.errors import JellyError, NoSnapshot
from jellyml.remote.address import Remote

BLOCK = 64 << 10  # the least that is asked for: smaller answers take as long
# What is behind something long is often wanted next: the manifest, behind the code.
_LONG, _AND_MORE = 4 << 10, 32 << 10
_PIECE = 32 << 20  # the most that is asked for at once
_UNEXPECTED = 64 << 20  # as far as a file is searched that does not say where to look
_MOST_ANSWERS = 200
_KEPT = 256 << 20
# Formats that tell at their beginning where all lies; for others that is the end.
_HEAD_FIRST = (".safetensors", ".gguf", ".onnx", ".bundle", ".json")


class Ranges(Protocol):
    """A file of which parts can be had. All raise NoSnapshot or JellyError."""

    def first(self, size: int, *, tail: bool) -> tuple[int, bytes, int]:
        """Its first or last bytes: where they begin, the bytes, and the file's size."""
        ...

    def read(self, start: int, stop: int) -> bytes: ...


class TooFar(JellyError):
    """More would have to be fetched than is worth it."""


class FarFile(io.RawIOBase):
    """Read as any file. ``requests`` and ``fetched`` count what it took."""

    def __init__(self, remote: Remote, ranges: Ranges | None = None) -> None:
        self._ranges = ranges or ranges_of(remote)
        tail = not remote.name.lower().endswith(_HEAD_FIRST)
        start, data, self.size = self._ranges.first(BLOCK, tail=tail)
        self._pieces: list[tuple[int, bytes]] = [(start, data)]
        self._window = (0, 0)
        self._at = 0
        self.left = _UNEXPECTED  #: bytes that nobody expected and may be fetched all the same
        self.most = _PIECE  #: bytes to be asked for at once
        self.requests, self.fetched = 1, len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = max(0, (0, self._at, self.size)[whence] + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """As many bytes as were asked for, and fewer only where the file ends."""
        stop = self.size if size is None or size < 0 else min(self.size, self._at + size)
        data = bytearray()
        while self._at < stop:
            piece = self._held(self._at) or self._fetched(self._at, stop)
            start, held = piece
            part = held[self._at - start : stop - start]
            data += part
            self._at += len(part)
        return bytes(data)

    def expect(self, offset: int, size: int) -> None:
        """These bytes will be read, and may come at once."""
        start, stop = self._window
        if not (start <= offset and offset + size <= stop):
            self._window = (offset, min(self.size, offset + size))

    def at_hand(self, offset: int, size: int) -> bool:
        """Whether these bytes cost nothing."""
        held = self._held(offset)
        return held is not None and offset + size <= held[0] + len(held[1])

    def _held(self, at: int) -> tuple[int, bytes] | None:
        for piece in reversed(self._pieces):
            if piece[0] <= at < piece[0] + len(piece[1]):
                return piece
        return None

    def _fetched(self, at: int, stop: int) -> tuple[int, bytes]:
        expected = self._window[0] <= at < self._window[1]
        stop = max(stop, self._window[1]) if expected else max(stop, at + BLOCK)
        if expected and stop - at >= _LONG:
            stop += _AND_MORE
        after = [start for start, _ in self._pieces if start > at]
        stop = min([stop, at + self.most, self.size, *after])
        self._count(0 if expected else stop - at)
        data = self._ranges.read(at, stop)
        if len(data) != stop - at:
            raise JellyError("The server sent less than it was asked for.", "try again.")
        self.requests, self.fetched = self.requests + 1, self.fetched + len(data)
        self._pieces.append((at, data))
        while len(self._pieces) > 2 and sum(len(each) for _, each in self._pieces) > _KEPT:
            del self._pieces[1]
        return at, data

    def _count(self, unexpected: int) -> None:
        self.left -= unexpected
        if self.left < 0 or self.requests >= _MOST_ANSWERS:
            raise TooFar("")


def ranges_of(remote: Remote) -> Ranges:
    """By HTTP, or whatever file system knows the scheme."""
    if remote.url:
        from jellyml.remote.http import Http

        return Http(remote)
    from jellyml.remote.filesystem import FileSystem

    return FileSystem(remote)


def missing(remote: Remote) -> NoSnapshot:
    return NoSnapshot(f"There is no file {remote}.", "check its name and folder.")


def forbidden(remote: Remote) -> JellyError:
    return JellyError(
        f"{remote} may not be read: access was refused.",
        "check the credentials that are set for it here, and what they allow.",
    )
