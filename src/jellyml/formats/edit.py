"""An edit of a checkpoint file: it keeps the beginning and replaces the rest with parts."""

import io
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO, TypeAlias, cast

from jellyml.errors import CannotCarry
from jellyml.formats.record import CHUNK, Record, read_at, size_of

Buffer: TypeAlias = bytes | memoryview
#: Key -> the record's bytes, in their order in the file.
Payload: TypeAlias = Mapping[str, Buffer]


@dataclass(frozen=True, slots=True)
class Edit:
    """Keep the first ``keep`` bytes, then write the parts: new bytes, or records of the old file.

    An edit without such records can be made in place. ``caution`` is a warning to the user
    about the edited file.
    """

    keep: int
    parts: Sequence[Buffer | Record] = ()
    caution: str = ""

    @property
    def in_place(self) -> bool:
        return not any(isinstance(part, Record) for part in self.parts)

    @property
    def size(self) -> int:
        return self.keep + sum(
            part.size if isinstance(part, Record) else len(part) for part in self.parts
        )

    def chunks(self, file: BinaryIO) -> Iterator[Buffer]:
        """Yield the whole new file, in chunks, from the old one."""
        yield from Record(0, self.keep).chunks(file)
        for part in self.parts:
            if isinstance(part, Record):
                yield from part.chunks(file)
            else:
                yield part


def zeroed(file: BinaryIO, records: Sequence[Record], patches: Mapping[int, bytes]) -> Edit:
    """Return the edit that zeroes records and writes patches at their offsets; the size is kept.

    A base64 record is filled with the letter of zeros, since NUL is not allowed in text.
    Raise CannotCarry if two of them overlap.
    """
    new: dict[int, Sequence[Buffer]] = {offset: [data] for offset, data in patches.items()}
    for record in records:
        new[record.offset] = _repeated(b"A" if record.encoding == "base64" else b"\0", record.size)
    parts: list[Buffer | Record] = []
    end = 0
    for offset, data in sorted(new.items(), key=lambda item: item[0]):
        if offset < end:
            raise CannotCarry("Two of its records overlap.")
        parts += [Record(end, offset - end), *data]
        end = offset + sum(map(len, data))
    parts.append(Record(end, size_of(file) - end))
    return Edit(0, parts)


def _repeated(byte: bytes, size: int) -> Sequence[Buffer]:
    block = memoryview(byte * min(size, CHUNK))
    whole, rest = divmod(size, CHUNK)
    return [block] * whole + [block[:rest]]


class Edited(io.RawIOBase):
    """The file after an edit, readable before the edit is made."""

    def __init__(self, file: BinaryIO, edit: Edit) -> None:
        self._file = file
        self._parts: list[Buffer | Record] = [Record(0, edit.keep), *edit.parts]
        sizes = (part.size if isinstance(part, Record) else len(part) for part in self._parts)
        self._starts = list(accumulate(sizes, initial=0))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        start = (0, self._at, self._starts[-1])[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most ``size`` bytes; fewer at the end of a part."""
        index = bisect_right(self._starts, self._at) - 1
        if index >= len(self._parts):
            return b""
        part, start = self._parts[index], self._at - self._starts[index]
        left = self._starts[index + 1] - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        if isinstance(part, Record):
            data = read_at(self._file, part.offset + start, wanted)
        else:
            data = bytes(part[start : start + wanted])
        self._at += len(data)
        return data


class Steps:
    """Successive edits of one file, before any is made."""

    def __init__(self, file: BinaryIO) -> None:
        self.result = file  #: the file after the edits
        self.edit: Edit | None = Edit(size_of(file))  #: one edit in place, or None if there is none
        self.caution = ""

    def add(self, edit: Edit) -> None:
        whole = self.edit and edit.in_place and edit.keep <= self.edit.keep
        self.edit = Edit(edit.keep, edit.parts) if whole else None
        self.result = cast("BinaryIO", Edited(self.result, edit))
        self.caution = edit.caution or self.caution

    def chunks(self) -> Iterator[bytes]:
        return Record(0, size_of(self.result)).chunks(self.result)
