"""One pickle, or what ``joblib.dump`` writes without compression: appended to, never loaded."""

from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import scan, torch_legacy, trailing
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.pickle_end import end_of
from jellyml.formats.record import read_at, size_of

name = "pickle"

_PROTOCOLS = range(2, 6)  # before, a pickle had no beginning of its own

records = scan.records
strip = trailing.strip
wipe = trailing.wipe


def recognises(file: BinaryIO) -> bool:
    start = read_at(file, 0, 2)
    return start[:1] == b"\x80" and start[1:] in map(_byte, _PROTOCOLS) and not _torchs(file)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    if end_of(file) != size_of(file):
        raise CannotCarry("Something follows its pickle, and whoever reads that would read on.")
    return trailing.append(file, payload)


def _byte(number: int) -> bytes:
    return bytes([number])


_torchs = torch_legacy.recognises
