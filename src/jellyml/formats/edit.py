"""What a checkpoint file is to become: a beginning that stays as it is, then new parts."""

import io
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO, TypeAlias, cast

from jellyml.errors import CannotCarry
from jellyml.formats.record import CHUNK, Record, read_at, size_of

Buffer: TypeAlias = bytes | memoryview
#: Key -> the record's bytes, in the order in which they are to lie in the file.
Payload: TypeAlias = Mapping[str, Buffer]


@dataclass(frozen=True, slots=True)
class Edit:
    """Keep the first ``keep`` bytes; after them come the parts, new bytes or stretches of old ones.

    An edit without stretches can be made in place. ``caution`` is what the user should know of
    a file that was changed so.
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
        """The whole new file, a little at a time, out of the old one."""
        yield from Record(0, self.keep).chunks(file)
        for part in self.parts:
            if isinstance(part, Record):
                yield from part.chunks(file)
            else:
                yield part


def zeroed(file: BinaryIO, records: Sequence[Record], patches: Mapping[int, bytes]) -> Edit:
    """The file with these stretches zeroed and these bytes put at their offsets; same size.

    Base64 is zeroed by the letters that mean zeros: it lies in texts, where a NUL may not be.
    """
    new: dict[int, Sequence[Buffer]] = {offset: [data] for offset, data in patches.items()}
    for record in records:
        new[record.offset] = _repeated(b"A" if record.encoding == "base64" else b"\0", record.size)
    parts: list[Buffer | Record] = []
    done = 0
    for offset, data in sorted(new.items(), key=lambda item: item[0]):
        if offset < done:
            raise CannotCarry("Two of its records lie in the same place.")
        parts += [Record(done, offset - done), *data]
        done = offset + sum(map(len, data))
    parts.append(Record(done, size_of(file) - done))
    return Edit(0, parts)


def _repeated(byte: bytes, size: int) -> Sequence[Buffer]:
    block = memoryview(byte * min(size, CHUNK))
    whole, rest = divmod(size, CHUNK)
    return [block] * whole + [block[:rest]]


class Edited(io.RawIOBase):
    """A file as an edit would leave it, to be read before anything is changed."""

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
        """At most ``size`` bytes; fewer where a part ends."""
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
    """Edits of one file, one after the other, none of them made yet."""

    def __init__(self, file: BinaryIO) -> None:
        self.result = file  #: the file as the edits would leave it
        self.edit: Edit | None = Edit(size_of(file))  #: all as one, where that is an edit in place
        self.caution = ""

    def add(self, edit: Edit) -> None:
        whole = self.edit and edit.in_place and edit.keep <= self.edit.keep
        self.edit = Edit(edit.keep, edit.parts) if whole else None
        self.result = cast("BinaryIO", Edited(self.result, edit))
        self.caution = edit.caution or self.caution

    def chunks(self) -> Iterator[bytes]:
        return Record(0, size_of(self.result)).chunks(self.result)
