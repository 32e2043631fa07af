"""The byte range in which a file may carry a snapshot or a manifest, read in chunks."""

import binascii
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, TypeAlias

from jellyml.formats.source import OpenFile, budget_of

CHUNK = 1 << 20
_QUADS = CHUNK // 3 * 4  # characters of base64 that give nearly 1 MiB
# A git pack is compressed already, so deflating a filling again saves only a few percent. Data that
# expands further than this is a decompression bomb.
_MOST_UNFOLDING = 32

KEY = "jellyml_code_snapshot"
MANIFEST_KEY = "jellyml_manifest"


@dataclass(frozen=True, slots=True)
class RecordKind:
    """A kind of record: the key that it is saved under, and its first bytes."""

    key: str
    magic: bytes


Encoding: TypeAlias = Literal["raw", "deflated", "base64"]


@dataclass(frozen=True, slots=True)
class Record:
    """A byte range of a file. ``size`` counts the bytes in the file, before they are decoded.

    The record begins ``skip`` bytes into the decoded data.
    """

    offset: int
    size: int
    encoding: Encoding = "raw"
    skip: int = 0

    @property
    def encoded(self) -> bool:
        """Return whether the bytes have to be decoded."""
        return self.encoding != "raw"

    @property
    def most(self) -> int:
        """Return how many decoded bytes the record has at most."""
        decoded = {
            "raw": self.size,
            "deflated": self.size * _MOST_UNFOLDING,
            "base64": self.size // 4 * 3,
        }
        return max(0, decoded[self.encoding] - self.skip)

    def chunks(self, file: BinaryIO, limit: int | None = None) -> Iterator[bytes]:
        """Yield the first ``limit`` bytes, or all of them, at most 1 MiB at a time.

        It yields fewer if the file is cut off or the encoding is damaged.
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
        """Return these bytes as a record; of an encoded record, all bytes from ``offset`` on.

        Return None if they are not inside this record.
        """
        if self.encoded:
            within = 0 <= offset < self.most
            return replace(self, skip=self.skip + offset) if within else None
        inside = 0 <= offset <= offset + size <= self.size
        return Record(self.offset + offset, size) if inside else None

    def head(self, file: BinaryIO, size: int) -> bytes:
        """Return the first ``size`` bytes, or fewer as ``chunks`` does."""
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
        budget = budget_of(file)
        step = min(CHUNK, max(512, wanted))
        try:
            for start in range(0, self.size, step):
                packed = read_at(file, self.offset + start, min(step, self.size - start))
                while not inflate.eof:
                    chunk = inflate.decompress(packed, CHUNK)
                    budget.make(len(chunk))
                    yield chunk
                    packed = inflate.unconsumed_tail
                    if len(chunk) < CHUNK:  # a full chunk: zlib may hold more
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
    """Return ``size`` bytes from ``offset`` on, or fewer at the end of the file."""
    file.seek(offset)
    data = file.read(size)
    while data and len(data) < size and (more := file.read(size - len(data))):
        data += more  # an unbuffered file may return fewer than requested
    return data


def expect(file: BinaryIO, offset: int, size: int) -> None:
    """Announce a read to a remote file, so that one request fetches all of these bytes."""
    if isinstance(file, OpenFile):
        file.expect(offset, size)


def is_remote(file: BinaryIO) -> bool:
    """Return whether each read may take a request over the network."""
    return isinstance(file, OpenFile) and file.is_remote


def may_begin_with(file: BinaryIO, start: bytes) -> bool:
    """Return False if the file begins otherwise. This takes no request."""
    if isinstance(file, OpenFile) and not file.is_cached(0, len(start)):
        return True
    return read_at(file, 0, len(start)) == start


def size_of(file: BinaryIO) -> int:
    return file.seek(0, 2)


CODE = RecordKind(KEY, b'{"magic_number": "jelly_ml_snapshot"')
MANIFEST = RecordKind(MANIFEST_KEY, b'{"magic_number": "jelly_ml_manifest"')
