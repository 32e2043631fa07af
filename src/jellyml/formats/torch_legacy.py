"""What ``torch.save`` wrote before 1.6: five pickles, then the storages, raw, with their counts."""

from typing import BinaryIO

from jellyml.formats import unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = "torch before 1.6"

# The first pickle is torch's magic number. What lies before it is the protocol, and a frame.
_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LONGEST_START = 11

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    start = read_at(file, 0, _LONGEST_START + len(_MAGIC))
    return start.startswith(b"\x80") and _MAGIC in start


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """torch counts the storages it reads, and stops."""
    return trailer.append(file, payload)
