"""TensorFlow Lite: a flatbuffer, which says where all of it lies, and so has no end to mind."""

from typing import BinaryIO

from jellyml.formats import scan, trailing
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = "TensorFlow Lite"

_ALIGNMENT = 16  # buffers that lie behind the flatbuffer, in models over 2 GB, are aligned so

records = scan.records
strip = trailing.strip
wipe = trailing.wipe


def recognises(file: BinaryIO) -> bool:
    return read_at(file, 4, 4) == b"TFL3"


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return trailing.append(file, payload, align=_ALIGNMENT)
