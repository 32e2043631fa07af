"""TensorFlow Lite: a flatbuffer, which says where all of it lies, and so has no end to mind."""

from typing import BinaryIO

from jellyml.formats import unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = "TensorFlow Lite"

_ALIGNMENT = 16  # buffers that lie behind the flatbuffer, in models over 2 GB, are aligned so

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return read_at(file, 4, 4) == b"TFL3"


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return trailer.append(file, payload, align=_ALIGNMENT)
