"""A file of any format: search for the magic bytes of records, from the end."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import CHUNK, Record, RecordKind, read_at, size_of

name = "scan"


def recognises(file: BinaryIO) -> bool:
    return True


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Yield the appended records, then every match of the search."""
    yield from trailer.records(file, kind)
    yield from inside(file, Record(0, size_of(file)), kind)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    raise CannotCarry("Its format is not one that is known to carry a snapshot safely.")


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    return None


wipe = trailer.wipe


def inside(file: BinaryIO, whole: Record, kind: RecordKind) -> Iterator[Record]:
    """Yield every match in ``whole``, the last first. The size is an upper bound: to its end."""
    overlap = len(kind.magic) - 1  # a match may begin in one block and end in the next
    for start in reversed(range(0, whole.size, CHUNK)):
        size = min(CHUNK + overlap, whole.size - start)
        block = read_at(file, whole.offset + start, size)
        place = block.rfind(kind.magic)
        while place >= 0:
            yield Record(whole.offset + start + place, whole.size - start - place)
            place = block.rfind(kind.magic, 0, place + overlap)
