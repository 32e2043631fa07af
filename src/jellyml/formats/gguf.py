"""GGUF of llama.cpp: no reader looks after the last tensor, so a block is appended.

A metadata key or a tensor does not work: gguf-py takes minutes to read a long uint8 array, and
llama.cpp refuses a tensor that its model does not use.
"""

from typing import BinaryIO

from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at

name = signatures.GGUF.name

_ALIGNMENT = 32

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return signatures.GGUF.matches(read_at(file, 0, signatures.GGUF.reach))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    return trailer.append(file, payload, align=_ALIGNMENT)
