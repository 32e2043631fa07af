"""One pickle, or an uncompressed file of ``joblib.dump``: appended to, never loaded."""

from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import signatures, torch_legacy, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.containers.pickle.end import end_of
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at, size_of

name = signatures.PICKLE.name

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    begins_so = signatures.PICKLE.matches(read_at(file, 0, signatures.PICKLE.reach))
    return begins_so and not torch_legacy.recognises(file)


def fill(file: BinaryIO, payload: Payload) -> Edit:
    if end_of(file) != size_of(file):
        raise CannotCarry("Data follows its pickle, and its readers would read on past the end.")
    return trailer.append(file, payload)
