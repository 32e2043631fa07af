"""TensorFlow Lite: a flatbuffer, which locates its parts by offsets, so bytes may follow it."""

from typing import BinaryIO

from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = signatures.TFLITE.name

_ALIGNMENT = 16  # alignment of the buffers after the flatbuffer in models over 2 GB

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return signatures.TFLITE.matches(read_at(file, 0, signatures.TFLITE.reach))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return trailer.append(file, payload, align=_ALIGNMENT)
