"""NumPy's ``.npy``: the header has the size of the array, and readers stop there."""

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
_LONGEST_HEADER = 10_000  # bytes that NumPy reads by default
_DEEPEST = 8
_TYPE = re.compile(r"[<>|=]?([a-zA-Z])(\d{0,9})(?:\[\w+\])?")

records = unknown.records
strip = trailer.strip
wipe = trailer.wipe


def recognises(file: BinaryIO) -> bool:
    return signatures.NPY.matches(read_at(file, 0, signatures.NPY.reach))


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Refuse a file of several arrays: its readers would read on past the last."""
    if _end(file) != size_of(file):
        raise CannotCarry("Data follows its array, and its readers would read on past the end.")
    return trailer.append(file, payload)


def header_for(size: int) -> bytes:
    """Return the header of a uint8 array of ``size`` bytes."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({size},), }}"
    length = -(len(_MAGIC) + 5 + len(text)) % 64 + len(text) + 1
    return _MAGIC + struct.pack("<2BH", 1, 0, length) + text.ljust(length - 1).encode() + b"\n"


def data_offset(start: bytes) -> int | None:
    """Return the offset of the array's bytes, by the first 12 bytes of the file."""
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
        # literal_eval runs no code, and the text is short.
        header = ast.literal_eval(text[text.index(b"{") :].decode("latin-1").strip())
        kind, shape = header["descr"], header["shape"]
        size = _itemsize(kind, _DEEPEST)
        return start + size * _count(shape) if size else end_of(file, start)
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, MemoryError, RecursionError):
        raise CannotCarry("Its header is damaged.") from None


def _itemsize(kind: object, depth: int) -> int:
    """Return the bytes of one element; 0 for Python objects, which are pickled."""
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
