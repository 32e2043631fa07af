"""A stretch of a file that may be ours, read a little at a time."""

import binascii
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, TypeAlias

CHUNK = 1 << 20
_QUADS = CHUNK // 3 * 4  # characters of base64 that give nearly 1 MiB
# A git pack is compressed already: a filling that was deflated on top of that shrinks by a few
# parts in a hundred, mostly its padding. What would unfold further than this is a bomb.
_MOST_UNFOLDING = 32

KEY = "jellyml_code_snapshot"
MANIFEST_KEY = "jellyml_manifest"


@dataclass(frozen=True, slots=True)
class RecordKind:
    """What is looked for: the key it is saved under, and the bytes it begins with."""

    key: str
    magic: bytes


Encoding: TypeAlias = Literal["raw", "deflated", "base64"]


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's bytes lie in its file. ``size`` is what they take up there.

    ``skip`` bytes come before them in what an encoded stretch gives: only decoding it leads
    to where they begin.
    """

    offset: int
    size: int
    encoding: Encoding = "raw"
    skip: int = 0

    @property
    def encoded(self) -> bool:
        """Whether ``size`` says less than reading does."""
        return self.encoding != "raw"

    @property
    def most(self) -> int:
        """The most bytes this record can give."""
        decoded = {
            "raw": self.size,
            "deflated": self.size * _MOST_UNFOLDING,
            "base64": self.size // 4 * 3,
        }
        return max(0, decoded[self.encoding] - self.skip)

    def chunks(self, file: BinaryIO, limit: int | None = None) -> Iterator[bytes]:
        """The first ``limit`` bytes, or all, at most 1 MiB at a time.

        Fewer come when the file ends early or what is encoded breaks off.
        """
        left = self.most if limit is None else min(limit, self.most)
        skip = self.skip
        for chunk in self._decoded(file, skip + left):
            if left <= 0:
                return
            if wanted := chunk[skip : skip + left]:
                yield wanted
            left -= len(wanted)
            skip = max(0, skip - len(chunk))

    def part(self, offset: int, size: int) -> "Record | None":
        """These bytes of it, None where they do not lie in it; encoded, all from ``offset`` on."""
        if self.encoded:
            within = 0 <= offset < self.most
            return replace(self, skip=self.skip + offset) if within else None
        inside = 0 <= offset <= offset + size <= self.size
        return Record(self.offset + offset, size) if inside else None

    def head(self, file: BinaryIO, size: int) -> bytes:
        return b"".join(self.chunks(file, size))

    def _decoded(self, file: BinaryIO, wanted: int) -> Iterator[bytes]:
        match self.encoding:
            case "raw":
                return self._raw(file, wanted)
            case "deflated":
                return self._inflated(file, wanted)
            case "base64":
                return self._from_base64(file, wanted)

    def _raw(self, file: BinaryIO, wanted: int) -> Iterator[bytes]:
        end = min(self.size, wanted)
        expect(file, self.offset, end)
        for start in range(0, end, CHUNK):
            chunk = read_at(file, self.offset + start, min(CHUNK, end - start))
            if not chunk:
                return
            yield chunk

    def _inflated(self, file: BinaryIO, wanted: int) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        step = min(CHUNK, max(512, wanted))
        try:
            for start in range(0, self.size, step):
                packed = read_at(file, self.offset + start, min(step, self.size - start))
                while not inflate.eof:
                    chunk = inflate.decompress(packed, CHUNK)
                    yield chunk
                    packed = inflate.unconsumed_tail
                    if len(chunk) < CHUNK:  # a full one may have more waiting behind it
                        break
        except zlib.error:
            return

    def _from_base64(self, file: BinaryIO, wanted: int) -> Iterator[bytes]:
        end = min(self.size, -(-wanted // 3) * 4)
        expect(file, self.offset, end)
        try:
            for start in range(0, end, _QUADS):
                text = read_at(file, self.offset + start, min(_QUADS, end - start))
                yield binascii.a2b_base64(text)
        except binascii.Error:
            return


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """``size`` bytes from ``offset`` on; fewer only where the file ends."""
    file.seek(offset)
    data = file.read(size)
    while data and len(data) < size and (more := file.read(size - len(data))):
        data += more  # a raw file may give less than was asked for
    return data


def expect(file: BinaryIO, offset: int, size: int) -> None:
    """Tell a file that is far away what is read next, so that it comes in one piece."""
    if told := getattr(file, "expect", None):
        told(offset, size)


def is_far(file: BinaryIO) -> bool:
    """Whether a read costs more than a thought."""
    return hasattr(file, "expect")


def may_begin_with(file: BinaryIO, start: bytes) -> bool:
    """False where it does not; a file that is far away is not asked for that alone."""
    at_hand = getattr(file, "at_hand", None)
    if at_hand and not at_hand(0, len(start)):
        return True
    return read_at(file, 0, len(start)) == start


def size_of(file: BinaryIO) -> int:
    return file.seek(0, 2)


CODE = RecordKind(KEY, b'{"magic_number": "jelly_ml_snapshot"')
MANIFEST = RecordKind(MANIFEST_KEY, b'{"magic_number": "jelly_ml_manifest"')
