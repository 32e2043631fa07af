"""Small files whose arrays would take far more time or memory than their size explains."""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from random import Random

from array_files import safetensors_of
from checkpoint_files import Member, archive
from limits import Case

_STORAGE = b"(X\7\0\0\0storagectorch\nByteStorage\nX\1\0\0\x000X\3\0\0\0cpuK\x18tQ"
_REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def torch_zip(pickled: bytes, data: bytes = bytes(96), *, deflate: bool = False) -> bytes:
    """Return an archive with this pickle and one storage.

    A record that unfolds to more than 32 times its size is cut off, so some noise is added.
    """
    if deflate:
        pickled += Random(1).randbytes(len(pickled) // 30)
    return archive(
        Member("a/data.pkl", pickled, deflate),
        Member("a/byteorder", b"little"),
        Member("a/data/0", data),
    )


def tensor(shape: Sequence[int] = (24,), strides: Sequence[int] = (1,)) -> bytes:
    """Return the opcodes of a view of storage 0."""
    arguments = b"(" + _STORAGE + b"K\0" + _numbers(shape) + _numbers(strides) + b"\x89}t"
    return _REBUILD + arguments + b"R"


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


def two(one: bytes, other: bytes) -> Callable[[Path], Sequence[str]]:
    """Return a comparison of two files."""

    def build(folder: Path) -> Sequence[str]:
        (folder / "a").write_bytes(one)
        (folder / "b").write_bytes(other)
        return "diff", "a", "b", "--only", "weights"

    return build


def same(data: Callable[[], bytes]) -> Callable[[Path], Sequence[str]]:
    """Return a comparison of two files with the same bytes."""
    return lambda folder: two(data(), data())(folder)


def _rows(count: int) -> Callable[[Path], Sequence[str]]:
    """Return a comparison of an array of one row many times, in two files."""
    pickled = dictionary(w=tensor((count, 2), (0, 1)))
    return two(torch_zip(pickled), torch_zip(pickled, b"\1" + bytes(95)))


_MANY = b"K\1" * 90_000


def _calls(count: int, shape: bytes = _MANY, more: bytes = b"") -> bytes:
    """Return a file that calls one function again and again with many numbers."""
    arguments = b"(" + _STORAGE + b"K\0(" + shape + b"t(t\x89}" + more + b"tq\1"
    calls = b"h\0h\1R0" * count
    pickled = b"\x80\x02" + _REBUILD + b"q\x000" + arguments + b"0" + calls
    return torch_zip(pickled + dictionary(w=tensor()), deflate=True)


def one_state(count: int) -> bytes:
    """Return a file of one tuple that is the state of an object again and again."""
    state = b"(" + _STORAGE + _MANY + b"tq\1"
    return torch_zip(b"\x80\x02" + state + b"0]" + b"h\1b" * count + b".", deflate=True)


def _one_name(count: int) -> bytes:
    """Return a file of arrays that all have one name."""
    pairs = b"h\2h\1" * count
    begin = b"\x80\x02}" + tensor() + b"q\x010" + _text("w") + b"q\x020("
    return torch_zip(begin + pairs + b"u.", deflate=True)


def _one_member(count: int) -> bytes:
    """Return an ``.npz`` whose entries all name one member, with a header of 10 kB."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1,' * 4_900})}}".encode()
    header = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text
    members = (Member(f"{each}.npy", header + bytes(4), at=0) for each in range(1, count))
    return archive(Member("0.npy", header + bytes(4)), *members)


def nodes(count: int) -> bytes:
    """Return a pickle of lists of 90,000 empty lists."""
    lists = b"](" + b"]" * 90_000 + b"e"
    return torch_zip(b"\x80\x02](" + lists * count + b"e.", deflate=True)


def _index(content: bytes) -> Callable[[Path], Sequence[str]]:
    """Return a comparison of two folders with this index and one shard."""

    def build(folder: Path) -> Sequence[str]:
        for name in ("a", "b"):
            (folder / name).mkdir()
            (folder / name / "model.safetensors.index.json").write_bytes(content)
            (folder / name / "s").write_bytes(_shard(["w"]))
        return "diff", "a", "b", "--only", "weights"

    return build


def _shard(names: Sequence[str], shapes: Sequence[Sequence[int]] = ((1,),)) -> bytes:
    """Return a safetensors file of arrays without elements, or of one byte that they share."""
    entries = {
        name: {"dtype": "U8", "shape": [0, *shapes[at % len(shapes)]], "data_offsets": [0, 0]}
        for at, name in enumerate(names)
    }
    return safetensors_of(json.dumps(entries).encode())


def _public_names() -> Iterator[str]:
    """Yield the 138,240 names of a public model with 60 layers of 256 experts."""
    for layer, expert in product(range(60), range(256)):
        for part, kind in product(("gate", "up", "down"), ("packed", "scale", "shape")):
            yield f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight_{kind}"


def _public_model(folder: Path) -> Sequence[str]:
    """Return a comparison of two folders of the public model's arrays, without their elements."""
    names = list(_public_names())
    half = len(names) // 2
    shards = {
        "model-00001-of-00002.safetensors": names[:half],
        "model-00002-of-00002.safetensors": names[half:],
    }
    index = {name: shard for shard, inside in shards.items() for name in inside}
    for place in ("a", "b"):
        (folder / place).mkdir()
        text = json.dumps({"metadata": {}, "weight_map": index}, indent=2)
        (folder / place / "model.safetensors.index.json").write_text(text)
        for shard, inside in shards.items():
            (folder / place / shard).write_bytes(_shard(inside, [(7168, 1024)]))
    return "diff", "a", "b", "--only", "weights"


def unlike(side: str, count: int) -> bytes:
    """Return arrays whose names share only an ending with those of another side."""
    shapes = [(1, each) for each in range(count // 64)]
    return _shard([f"{side}{n}.w" for n in range(count)], shapes)


def _of_one_gigabyte(folder: Path) -> Sequence[str]:
    """Return a comparison of two files of 1 GB with 10,000 arrays, empty on disk."""
    size = (1 << 30) // 10_000
    entries = {
        f"model.layers.{n}.mlp.weight": {
            "dtype": "U8",
            "shape": [size],
            "data_offsets": [n * size, (n + 1) * size],
        }
        for n in range(10_000)
    }
    header = safetensors_of(json.dumps(entries).encode())
    for name in ("a", "b"):
        with (folder / name).open("wb") as file:
            file.write(header)
            file.truncate(len(header) + 10_000 * size)
    return "diff", "a", "b", "--only", "weights"


CASES = {
    "rows of stride 0": Case(_rows(1 << 27), "1 changed"),
    "one call again and again": Case(same(lambda: _calls(20_000)), "are the same: 1 array"),
    "one call of many arguments": Case(
        same(lambda: _calls(20_000, b"", _MANY)), "are the same: 1 array"
    ),
    "one name for many arrays": Case(
        same(lambda: _one_name(20_000)), "The weights are the same: 20,000"
    ),
    "many entries of one member": Case(same(lambda: _one_member(4_000)), "4,000 unreadable"),
    "nodes": Case(same(lambda: nodes(60)), "add --no-limits"),
    "an index of lists": Case(
        _index(b'{"weight_map":{"w":"s"},"x":[' + b"[]," * 4_000_000 + b"0]}"),
        "MiB of memory",
    ),
    "a public model": Case(_public_model, "are the same: 138,240 arrays", seconds=30),
    # The process has less than 25 MiB at its start, so this is 64 MB in all.
    "two files of 1 GB": Case(_of_one_gigabyte, "are the same: 10,000 arrays", mib=38),
    "names that are unlike": Case(
        two(unlike("a", 64_000), unlike("b", 64_000)), "MiB of memory", seconds=20
    ),
}
