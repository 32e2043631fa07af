"""What a checkpoint file is to become: a beginning that stays as it is, then new parts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from jellyml.formats.record import CHUNK, Record, size_of

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
    """The file with these stretches zeroed and these bytes put at their offsets; same size."""
    new: dict[int, tuple[int, bytes]] = {
        offset: (len(data), data) for offset, data in patches.items()
    }
    new |= {record.offset: (record.size, b"") for record in records}
    parts: list[Buffer | Record] = []
    done = 0
    for offset, (size, data) in sorted(new.items()):
        parts.append(Record(done, offset - done))
        parts += [data] if data else _zeros(size)
        done = offset + size
    parts.append(Record(done, size_of(file) - done))
    return Edit(0, parts)


def _zeros(size: int) -> Sequence[Buffer]:
    block = memoryview(bytes(min(size, CHUNK)))
    whole, rest = divmod(size, CHUNK)
    return [block] * whole + [block[:rest]]


def is_zero(file: BinaryIO, start: int, stop: int) -> bool:
    """Whether only zeros lie between two offsets."""
    return not any(any(chunk) for chunk in Record(start, stop - start).chunks(file))
