"""One array in NumPy's own format: its header says how long it is, and nothing reads further."""

import ast
import math
import re
import struct
from typing import BinaryIO

from jellyml.errors import CannotCarry
from jellyml.formats import signatures, unknown
from jellyml.formats.containers import trailer
from jellyml.formats.containers.pickle.end import end_of
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import read_at, size_of

name = signatures.NPY.name

(_MAGIC,) = signatures.NPY.first_bytes
_LONGEST_HEADER = 10_000  # as much as NumPy itself reads without being asked to
_DEEPEST = 8
_TYPE = re.compile(r"[<>|=]?([a-zA-Z])(\d{0,9})(?:\[\w+\])?")

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return signatures.NPY.matches(read_at(file, 0, signatures.NPY.reach))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Several arrays saved one after the other are refused: who reads them reads on."""
    if _end(file) != size_of(file):
        raise CannotCarry("Something follows its array, and whoever reads that would read on.")
    return trailer.append(file, payload)


def header_for(size: int) -> bytes:
    """What makes ``size`` bytes behind it an array of uint8."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}"
    length = -(len(_MAGIC) + 5 + len(text)) % 64 + len(text) + 1
    return _MAGIC + struct.pack("<2BH", 1, 0, length) + text.ljust(length - 1).encode() + b"\n"


def data_offset(start: bytes) -> int | None:
    """Where the array's bytes begin, out of the file's first 12."""
    if len(start) < 12 or not signatures.NPY.matches(start):
        return None
    if start[6] == 1:
        return 10 + int(struct.unpack_from("<H", start, 8)[0])
    return 12 + int(struct.unpack_from("<L", start, 8)[0])


def _end(file: BinaryIO) -> int:
    start = data_offset(read_at(file, 0, 12))
    if start is None or start > _LONGEST_HEADER:
        raise CannotCarry("Its header is damaged or too long.")
    text = read_at(file, 10, start - 10)
    try:
        # A literal is no program, and this one is short.
        header = ast.literal_eval(text[text.index(b"{") :].decode("latin-1").strip())
        kind, shape = header["descr"], header["shape"]
        size = _itemsize(kind, _DEEPEST)
        return start + size * _count(shape) if size else end_of(file, start)
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError):
        raise CannotCarry("Its header is damaged.") from None


def _itemsize(kind: object, depth: int) -> int:
    """Bytes of one element; 0 for Python objects, which are pickled."""
    if isinstance(kind, str) and (known := _TYPE.fullmatch(kind)):
        letter, digits = known.groups()
        return 0 if letter == "O" else int(digits or 1) * (4 if letter == "U" else 1)
    if not isinstance(kind, list) or not depth:
        raise ValueError("no type")
    sizes = [_itemsize(field[1], depth - 1) * _count(*field[2:]) for field in kind]
    return sum(sizes) if all(sizes) else 0


def _count(shape: object = ()) -> int:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(size) is int and 0 <= size < 1 << 48 for size in sizes):
        raise ValueError("no shape")
    return math.prod(sizes)
