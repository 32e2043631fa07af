"""Small files whose arrays would take far more time or memory than their size explains."""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from checkpoint_files import Member, archive
from limits import Case


def torch_zip(pickled: bytes, data: bytes = bytes(96)) -> bytes:
    """Return an archive with this pickle and one storage."""
    return archive(
        Member("a/data.pkl", pickled), Member("a/byteorder", b"little"), Member("a/data/0", data)
    )


def tensor(shape: Sequence[int] = (24,), strides: Sequence[int] = (1,), offset: int = 0) -> bytes:
    """Return the opcodes of a view of storage 0, which holds 24 bytes or more."""
    storage = b"(X\7\0\0\0storagectorch\nByteStorage\nX\1\0\0\x000X\3\0\0\0cpuK\x18tQ"
    arguments = storage + _number(offset) + _numbers(shape) + _numbers(strides) + b"\x89}"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def dictionary(**items: bytes) -> bytes:
    pairs = b"".join(_text(name) + value for name, value in items.items())
    return b"\x80\x02}(" + pairs + b"u."


def _number(value: int) -> bytes:
    size = max(1, (value.bit_length() + 8) // 8)
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def _numbers(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _two(one: bytes, other: bytes) -> Callable[[Path], Sequence[str]]:
    """Return a comparison of two files."""

    def build(folder: Path) -> Sequence[str]:
        (folder / "a").write_bytes(one)
        (folder / "b").write_bytes(other)
        return "diff", "a", "b", "--only", "weights"

    return build


def _rows(count: int) -> Callable[[Path], Sequence[str]]:
    """Return a comparison of an array of one row many times, in two files."""
    pickled = dictionary(w=tensor((count, 2), (0, 1)))
    return _two(torch_zip(pickled), torch_zip(pickled, b"\1" + bytes(95)))


CASES = {
    "rows of stride 0": Case(_rows(1 << 27), "1 changed"),
}
