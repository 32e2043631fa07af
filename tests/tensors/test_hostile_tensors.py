"""Files that lie about their arrays: an error in bounded time and memory, and nothing is run."""

import io
import json
import pickle
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from array_files import bytes_of, gguf, safetensors_of
from at_the_keyboard import environment
from checkpoint_files import Member, archive
from jellyml.formats.containers.pickle.objects import TooMuch
from jellyml.tensors import arrays_of
from jellyml.tensors.byte_range import Unreadable
from jellyml.tensors.readers import NoArrays

W = torch.arange(24.0)


def torch_zip(
    pickled: bytes, data: bytes = bytes(96), claims: dict[str, int] | None = None
) -> bytes:
    """An archive with this pickle and one storage."""
    return archive(
        Member("a/data.pkl", pickled),
        Member("a/byteorder", b"little"),
        Member("a/data/0", data, claims=claims),
    )


def tensor(
    *, offset: int = 0, shape: tuple[int, ...] = (24,), strides: tuple[int, ...] = (1,)
) -> bytes:
    """The opcodes of a tensor that is a view of storage 0, of 24 floats."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(number(value) for value in values) + b"t"

    persistent = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\x18tQ"
    arguments = b"(" + persistent + number(offset) + numbers(shape) + numbers(strides) + b"\x89}t"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def number(value: int) -> bytes:
    size = max(1, (value.bit_length() + 8) // 8)
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def dictionary(**items: bytes) -> bytes:
    pairs = b"".join(b"X" + struct.pack("<I", len(n)) + n.encode() + v for n, v in items.items())
    return b"\x80\x02}(" + pairs + b"u."


def written(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "m").write_bytes(data)
    return tmp_path / "m"


def test_the_opcodes_above_are_a_tensor(tmp_path: Path) -> None:
    found = arrays_of(written(tmp_path, torch_zip(dictionary(w=tensor()), bytes_of(W))))
    assert found["w"].read() == bytes_of(W)


class Runs:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return exec, ("open('trap', 'w').close()",)


def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Runs(), "w": W}, "zip.pt")
    torch.save({"x": Runs(), "w": W}, "old.pt", _use_new_zipfile_serialization=False)
    for name in ("zip.pt", "old.pt"):
        assert list(arrays_of(Path(name))) == ["w"]
    assert not Path("trap").exists()
    with zipfile.ZipFile("zip.pt") as file:
        pickle.loads(file.read("zip/data.pkl").split(b"X\1\0\0\0w")[0] + b"u.")
    assert Path("trap").exists()  # it would have


@pytest.mark.parametrize(
    "lie",
    [
        {"offset": 1},
        {"offset": 1 << 40},
        {"shape": (25,)},
        {"shape": (1 << 20, 1 << 20), "strides": (1, 1)},
        {"shape": (2,), "strides": (24,)},
    ],
    ids=str,
)
def test_a_view_beyond_its_storage(tmp_path: Path, lie: dict[str, object]) -> None:
    path = written(tmp_path, torch_zip(dictionary(w=tensor(**lie), v=tensor())))  # type: ignore[arg-type]
    try:
        found = arrays_of(path)
    except TooMuch:
        return
    assert found["v"].read() == bytes(96)
    with pytest.raises(Unreadable, match="bytes are not in the file"):
        found["w"].read()


@pytest.mark.parametrize(
    "lie",
    [
        {"shape": (1 << 47,), "strides": (0,)},
        {"shape": (1 << 16,) * 4, "strides": (0,) * 4},
        {"shape": (1 << 40, 24), "strides": (0, 1)},
    ],
    ids=str,
)
def test_a_view_that_unfolds_to_more_than_there_is(tmp_path: Path, lie: dict[str, object]) -> None:
    with pytest.raises(TooMuch, match="far more than the file"):
        arrays_of(written(tmp_path, torch_zip(dictionary(w=tensor(**lie)))))  # type: ignore[arg-type]


def test_views_that_lie_one_over_the_other_add_up(tmp_path: Path) -> None:
    """Each is honest; a hundred thousand of a large storage would take days to read."""
    one = tensor(shape=(1 << 26, 24), strides=(0, 1))
    with pytest.raises(TooMuch, match="far more than the file"):
        arrays_of(written(tmp_path, torch_zip(dictionary(a=one, b=one, c=one))))


@pytest.mark.parametrize("bad", [(-1,), (1 << 60,), tuple(range(1, 70))], ids=["-", "^", "many"])
def test_shapes_that_are_none(tmp_path: Path, bad: tuple[int, ...]) -> None:
    pickled = dictionary(w=tensor(shape=bad, strides=bad), v=tensor())
    assert "v" in arrays_of(written(tmp_path, torch_zip(pickled)))


def test_records_that_lie_about_their_size(tmp_path: Path) -> None:
    for claims in ({"packed": 1 << 31}, {"offset": 1 << 30}, {"packed": 8}):
        data = torch_zip(dictionary(w=tensor()), claims=claims)
        with pytest.raises(Unreadable):
            arrays_of(written(tmp_path, data))["w"].read()


def doubling(times: int) -> bytes:
    """{"a": x, "b": x} around itself, again and again: 2^times names for one tensor."""
    pickled = b"\x80\x02" + tensor() + b"q\0"
    for each in range(times):
        memo = bytes([each % 200])
        new = bytes([(each + 1) % 200])
        pickled += b"0}(X\1\0\0\0ah" + memo + b"X\1\0\0\0bh" + memo + b"uq" + new
    return pickled + b"."


def fact(said: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"x" + said


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"}X\1\0\0\0a" * depth + tensor() + b"s" * depth + b"."


HOSTILE: dict[str, bytes] = {
    "names without end": torch_zip(doubling(150)),
    "a node that takes itself in": torch_zip(
        b"\x80\x02ca\nb\n)\x81}X\1\0\0\0w" + tensor() + b"sb" + b"2b" * 1_000_000 + b"."
    ),
    "a tuple of itself twice": torch_zip(b"\x80\x02" + tensor() + b"2\x86" * 500_000 + b"."),
    "deep": torch_zip(nested(100_000)),
    "a loop": torch_zip(b"\x80\x02}q\0X\1\0\0\0ah\0sX\1\0\0\0w" + tensor() + b"s."),
    "a long stack": torch_zip(b"\x80\x02" + b"}" * 5_000_000 + b"."),
    "a long memo": torch_zip(b"\x80\x02}" + b"}\x94" * 2_000_000 + b"."),
    "many tensors": torch_zip(
        b"\x80\x02" + tensor() + b"q\0" + b"(" + b"h\0" * 300_000 + b"l."
    ),
    "a damaged pickle": torch_zip(b"\x80\x02" + tensor()),
    "an unknown opcode": torch_zip(b"\x80\x02\xff."),
    "a header that nests": safetensors_of(b'{"a":' * 100_000),
    "a header of spaces": safetensors_of(b"{" + b" " * 30_000_000),
    "a header of one name": safetensors_of(b'{"' + b"a" * 30_000_000 + b'":{}}'),
    "metadata without end": safetensors_of(b'{"__metadata__":{"a":"' + b"\\" * 30_000_001),
    "many entries": safetensors_of(
        b"{"
        + b",".join(
            b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % n for n in range(300_000)
        )
        + b"}"
    ),
    "billions of arrays": gguf([], count=1 << 60),
    "a fact of billions": gguf([], facts=[fact(struct.pack("<2IQ", 9, 8, 1 << 60))]),
    "arrays of arrays": gguf(
        [], facts=[fact(struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 50)]
    ),
    "a fact that is long": gguf([], facts=[fact(struct.pack("<IQ", 8, 1 << 62))]),
}  # fmt: skip

_ALONE = """
import sys, time
from pathlib import Path
from jellyml.errors import JellyError
from jellyml.tensors import arrays_of
began = time.process_time()
try:
    found = arrays_of(Path(sys.argv[1]))
    said = f"{len(found)} arrays"
    [each.digest for each in found.values()]
except JellyError as problem:
    said = problem.problem
took = time.process_time() - began
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(took, peak, said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("name", HOSTILE)
def test_time_and_memory_are_bounded(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, HOSTILE[name])
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(path)],
        env=environment(),
        check=True,
        capture_output=True,
        timeout=60,
    )
    took, peak, said = done.stdout.decode().split(" ", 2)
    assert float(took) < 15, said
    assert float(peak) < 64, said


def test_a_loop_is_left_out(tmp_path: Path) -> None:
    assert list(arrays_of(written(tmp_path, HOSTILE["a loop"]))) == ["w"]


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
        {"dtype": "F32", "shape": [2], "data_offsets": [1 << 60, (1 << 60) + 8]},
        {"dtype": "F77", "shape": [2], "data_offsets": [0, 8]},
    ],
    ids=str,
)
def test_entries_of_safetensors_that_lie(tmp_path: Path, entry: dict[str, object]) -> None:
    path = written(tmp_path, safetensors_of(json.dumps({"w": entry}).encode(), bytes(8)))
    with pytest.raises(Unreadable):
        arrays_of(path)["w"].read()


@pytest.mark.parametrize(
    "header",
    [
        b'{"w":{}}',
        b'{"w":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}',
        b'{"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}',
        b'{"w":{"dtype":"U8","shape":"x","data_offsets":[0,1]}}',
        b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}',
        b'{"w":{"dtype":"U8","shape":[1],"data_offsets":["0","1"]}}',
        b'{"w":3}',
        b'{"w"',
        b"{",
        b"[]",
    ],
)
def test_headers_that_are_none(tmp_path: Path, header: bytes) -> None:
    with pytest.raises((TooMuch, NoArrays)):
        arrays_of(written(tmp_path, safetensors_of(header, bytes(8))))


def test_every_cut_of_a_file_is_an_error_or_a_shorter_list(tmp_path: Path) -> None:
    """And never another exception."""
    value = {"a": W, "b": {"c": W.reshape(4, 6).t()}}
    files = [gguf([("w", [24], 0, bytes_of(W)), ("v", [2], 24, b"ab")])]
    for new in (True, False):
        file = io.BytesIO()
        torch.save(value, file, _use_new_zipfile_serialization=new)
        files.append(file.getvalue())
    for data in files:
        for cut in range(0, len(data), 7):
            _look(written(tmp_path, data[:cut]))


def test_every_flipped_byte_is_an_error_or_other_arrays(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"a": W, "b": {"c": W.reshape(4, 6).t()}}, file)
    whole = file.getvalue()
    start = whole.index(b"\x80\x02")
    for data, places in (
        (whole, range(start, start + 400)),
        (gguf([("w", [24], 0, bytes_of(W))]), range(200)),
    ):
        for place in places:
            for value in (0, 0xFF, data[place] ^ 1, data[place] ^ 0x80):
                _look(written(tmp_path, data[:place] + bytes([value]) + data[place + 1 :]))


def _look(path: Path) -> None:
    began = time.process_time()
    try:
        for each in arrays_of(path).values():
            if each.nbytes < 1 << 20:
                each.read()
    except (TooMuch, NoArrays, Unreadable):
        pass
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20
