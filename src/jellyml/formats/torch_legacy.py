"""``torch.save`` before 1.6: five pickles, then the raw storages with their sizes."""

from typing import BinaryIO

from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = signatures.TORCH_LEGACY.name

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    start = read_at(file, 0, signatures.TORCH_LEGACY.reach)
    return start.startswith(signatures.PICKLE_PROTOCOL) and signatures.TORCH_LEGACY.matches(start)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Append a block: torch reads a known number of storages, then stops."""
    return trailer.append(file, payload)
