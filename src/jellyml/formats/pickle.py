"""One pickle, or what ``joblib.dump`` writes without compression: appended to, never loaded."""

from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import torch_legacy, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.containers.pickle.end import end_of
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at, size_of

name = "pickle"

_PROTOCOLS = range(2, 6)  # before, a pickle had no beginning of its own

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    start = read_at(file, 0, 2)
    return start[:1] == b"\x80" and start[1:] in map(_byte, _PROTOCOLS) and not _torchs(file)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    if end_of(file) != size_of(file):
        raise CannotCarry("Something follows its pickle, and whoever reads that would read on.")
    return trailer.append(file, payload)


def _byte(number: int) -> bytes:
    return bytes([number])


_torchs = torch_legacy.recognises
