"""Arrays found without torch and without reading: names, shapes, types, and every bit of them."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import jellyml
from array_files import bytes_of, flat, gguf, safetensors, safetensors_of
from at_the_keyboard import environment
from checkpoint_files import our_filling, repacked, tensor
from jellyml.errors import JellyError
from jellyml.formats.record import KEY
from jellyml.tensors import LazyArray, arrays_of, readers, strides
from jellyml.tensors.byte_range import Unreadable
from jellyml.tensors.readers import NoArrays
from jellyml.tensors.to_numpy import numbers

W = torch.arange(24.0).reshape(4, 6)


def training() -> dict[str, object]:
    """What a training loop saves: nested, with an optimizer's state, views and tied weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "tied": [model[0].weight, model[0].weight],
        "mixed": (torch.ones(1), {"x": (torch.zeros(2), 5, torch.ones(3))}),
        KEY: tensor(our_filling()),
    }


def kinds() -> dict[str, torch.Tensor]:
    names = (
        "float16 float32 float64 bfloat16 complex64 complex128 bool uint8 int8 int16 int32 int64"
        " uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz"
    )
    found = {name: (W % 5).to(getattr(torch, name)) for name in names.split()}
    found["float8_e8m0fnu"] = W.to(torch.uint8).view(torch.float8_e8m0fnu)
    return found


def views() -> dict[str, torch.Tensor]:
    cube = torch.arange(120.0).reshape(4, 5, 6)
    return {
        "transposed": W.t(),
        "slice": W[1:3],
        "steps": W[1:3, ::2],
        "columns": W[:, 1:3],
        "expanded": torch.ones(1, 3).expand(4, 3),
        "permuted": cube.permute(2, 0, 1),
        "swapped": cube.transpose(0, 1)[1:, :, ::3],
        "channels": torch.arange(48.0).reshape(1, 3, 4, 4).to(memory_format=torch.channels_last),
        "diagonal": W[:4, :4].diagonal(),
        "scalar": W[2, 3],
        "empty": torch.zeros(0, 3),
        "one": torch.ones(1, 1, 1),
        "half": W.half().t(),
        "bytes": W.to(torch.uint8).t(),
        "complex": torch.complex(W, -W).to(torch.complex128).t(),
    }


WAYS: dict[str, Callable[[object, Path], None]] = {
    "zip": torch.save,
    "legacy": lambda value, path: torch.save(value, path, _use_new_zipfile_serialization=False),
    "protocol 4": lambda value, path: torch.save(value, path, pickle_protocol=4),
    "deflated": lambda value, path: _deflated(value, path),
}


def _deflated(value: object, path: Path) -> None:
    torch.save(value, path)
    path.write_bytes(repacked(path.read_bytes(), deflate=True))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", [training, kinds, views])
def test_torch_files_to_the_bit(
    way: str, what: Callable[[], dict[str, object]], tmp_path: Path
) -> None:
    value = what()
    WAYS[way](value, tmp_path / "m.pt")
    found = arrays_of(tmp_path / "m.pt")
    wanted = {name: each for name, each in flat(value).items() if name != KEY}
    assert list(found) == list(wanted)
    for name, each in wanted.items():
        lazy = found[name]
        assert (lazy.shape, lazy.dtype) == (tuple(each.shape), str(each.dtype)[6:])
        assert lazy.read() == bytes_of(each), name
        assert lazy.digest == hashlib.sha256(bytes_of(each)).hexdigest()
        assert (lazy.nbytes, lazy.size) == (each.numel() * each.element_size(), each.numel())


@pytest.mark.parametrize("way", ["zip", "legacy", "deflated"])
def test_numpy_sees_the_same(way: str, tmp_path: Path) -> None:
    value = {**views(), **{name: each for name, each in kinds().items() if "float8" not in name}}
    del value["bfloat16"]
    WAYS[way](value, tmp_path / "m.pt")
    for name, lazy in arrays_of(tmp_path / "m.pt").items():
        assert numpy.array_equal(lazy.numpy(), value[name].numpy()), name


def test_numpy_gets_a_view_and_cannot_write(tmp_path: Path) -> None:
    torch.save({"w": W, "t": W.t()}, tmp_path / "m.pt")
    for lazy in arrays_of(tmp_path / "m.pt").values():
        got = lazy.numpy()
        assert got.base is not None
        assert not got.flags.writeable


def test_numpy_alone_has_no_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": W.bfloat16()}, tmp_path / "m.pt")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(JellyError, match="no type bfloat16") as raised:
        arrays_of(tmp_path / "m.pt")["w"].numpy()
    assert "jellyml[weights]" in raised.value.fix


@pytest.mark.parametrize("name", [name for name in kinds() if name != "bool"])
def test_numbers_are_those_that_torch_sees(name: str) -> None:
    """Of every pattern of bits: infinities, NaN, minus zero and what is below normal too."""
    dtype = getattr(torch, name)
    data = bytes(range(256)) * 16 + bytes(value for value in range(256) for _ in range(2)) * 4
    wanted = torch.frombuffer(bytearray(data), dtype=dtype)
    wanted = wanted.to(torch.complex128 if dtype.is_complex else torch.float64)
    assert numpy.array_equal(numbers(data, name), wanted.numpy(), equal_nan=True)


def test_one_tensor_alone_has_no_name(tmp_path: Path) -> None:
    torch.save(W, tmp_path / "m.pt")
    assert {name: each.read() for name, each in arrays_of(tmp_path / "m.pt").items()} == {
        "": bytes_of(W)
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_whole_module_is_named_like_its_state(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    wanted = {name: bytes_of(each) for name, each in model.state_dict().items()}
    torch.save(model, tmp_path / "whole.pt")
    torch.jit.script(model).save(str(tmp_path / "script.pt"))
    for name in ("whole.pt", "script.pt"):
        found = arrays_of(tmp_path / name)
        assert {name: each.read() for name, each in found.items()} == wanted


def test_sparse_and_quantised(tmp_path: Path) -> None:
    sparse = torch.eye(3).to_sparse()
    torch.save({"s": sparse, "p": nn.Parameter(W)}, tmp_path / "m.pt")
    found = arrays_of(tmp_path / "m.pt")
    assert list(found) == ["s.indices", "s.values", "p"]
    assert found["s.values"].read() == bytes_of(torch.ones(3))


def by_channel(scale: float) -> torch.Tensor:
    scales = torch.tensor([0.5, scale])
    return torch.quantize_per_channel(scales[:, None], scales, torch.zeros(2), 0, torch.qint8)


def by_one(scale: float) -> torch.Tensor:
    return torch.quantize_per_tensor(torch.ones(2) * scale, scale, 0, torch.qint8)


def with_size(size: int) -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1), (size,))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: torch.eye(3).to_sparse_csr(), lambda: (torch.eye(3) * 2).to_sparse_csr()),
        (lambda: by_channel(0.25), lambda: by_channel(0.125)),
        (lambda: by_one(0.5), lambda: by_one(0.25)),
        (lambda: with_size(3), lambda: with_size(4)),
        (lambda: torch.tensor([1 + 2j]), lambda: torch.tensor([1 + 2j]).conj()),
        (lambda: torch.tensor([1 + 2j]).conj().imag, lambda: torch.tensor([1 + 2j]).imag),
    ],
    ids=["csr", "by channel", "by one", "sizes", "conjugated", "negated"],
)
def test_what_stands_for_other_numbers_is_another_array(
    tmp_path: Path, one: Callable[[], torch.Tensor], other: Callable[[], torch.Tensor]
) -> None:
    """Though most, or all, of the bytes are the same."""
    found = []
    for name, value in (("1.pt", one()), ("2.pt", other()), ("3.pt", one())):
        torch.save({"a": value}, tmp_path / name)
        found.append(arrays_of(tmp_path / name))
    assert list(found[0]) == list(found[1])
    assert any(found[0][name] != found[1][name] for name in found[0])
    assert all(found[0][name] == found[2][name] for name in found[0])


def test_names_that_would_be_the_same_are_numbered(tmp_path: Path) -> None:
    torch.save({"a.b": W, "a": {"b": W + 1}}, tmp_path / "m.pt")
    found = arrays_of(tmp_path / "m.pt")
    assert list(found) == ["a.b", "a.b (2)"]
    assert found["a.b (2)"].read() == bytes_of(W + 1)


def test_a_checkpoint_of_big_endian_machines(tmp_path: Path) -> None:
    torch.save({"w": W}, tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt") as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            elif name.endswith("data/0"):
                data = numpy.frombuffer(data, "<f4").astype(">f4").tobytes()
            new.writestr(name, data)
    lazy = arrays_of(tmp_path / "b.pt")["w"]
    assert lazy.read() == bytes_of(W)
    assert lazy == arrays_of(tmp_path / "m.pt")["w"]
    assert numpy.array_equal(lazy.numpy(), W.numpy())


# Other formats.


def test_safetensors(tmp_path: Path) -> None:
    value = {"a": W, "b": W.bfloat16(), "f8": W.to(torch.float8_e4m3fn), "e": torch.zeros(0, 2)}
    for metadata in (
        None,
        {"format": "pt", 'a"\\': 'x\\" } {' * 9000, "b": "", KEY: "z" * 200_000},
    ):
        (tmp_path / "m").write_bytes(safetensors(value, metadata))
        found = arrays_of(tmp_path / "m")
        assert list(found) == list(value)
        for name, each in value.items():
            assert found[name].read() == bytes_of(each)
            assert (found[name].shape, found[name].dtype) == (each.shape, str(each.dtype)[6:])


def test_safetensors_that_jellyml_has_filled(tmp_path: Path, repo: object) -> None:
    (tmp_path / "m").write_bytes(safetensors({"a": W}))
    jellyml.fill(tmp_path / "m", jellyml.create_snapshot(repo.path))  # type: ignore[attr-defined]
    assert arrays_of(tmp_path / "m")["a"].read() == bytes_of(W)


def test_a_packed_type_of_safetensors(tmp_path: Path) -> None:
    header = {"q": {"dtype": "F4", "shape": [4, 8], "data_offsets": [0, 16]}}
    (tmp_path / "m").write_bytes(safetensors_of(json.dumps(header).encode(), bytes(range(16))))
    (lazy,) = arrays_of(tmp_path / "m").values()
    assert (lazy.dtype, lazy.size, lazy.nbytes) == ("float4_e2m1fn", 32, 16)
    assert lazy.read() == bytes(range(16))


def test_gguf(tmp_path: Path) -> None:
    q4 = bytes(range(144)) * 2
    file = gguf([("w", [4, 6], 0, bytes_of(W)), ("q", [2, 256], 12, q4), ("s", [], 24, b"\7")])
    (tmp_path / "m").write_bytes(file)
    found = arrays_of(tmp_path / "m")
    assert {name: (each.shape, each.dtype) for name, each in found.items()} == {
        "w": ((4, 6), "float32"),
        "q": ((2, 256), "Q4_K"),
        "s": ((), "int8"),
    }
    assert [each.read() for each in found.values()] == [bytes_of(W), q4, b"\7"]
    assert found["q"].nbytes == 288
    with pytest.raises(JellyError, match="no type Q4_K"):
        found["q"].numpy()


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_numpy_archives(save: Callable[..., None], tmp_path: Path) -> None:
    value: dict[str, Any] = {
        "a": W.numpy(),
        "big": W.numpy().astype(">f8"),
        "fortran": numpy.asfortranarray(W.numpy()),
        "zeros": numpy.zeros((1000, 1000)),
        "scalar": numpy.float32(3),
        "b": numpy.array([True, False]),
        "c": W.numpy().astype("c8"),
        "empty": numpy.zeros((0, 3)),
    }
    save(tmp_path / "m.npz", **value)
    found = arrays_of(tmp_path / "m.npz")
    assert list(found) == list(value)
    for name, each in value.items():
        little = numpy.ascontiguousarray(each).astype(each.dtype.newbyteorder("<"))
        assert found[name].read() == little.tobytes(), name
        assert numpy.array_equal(found[name].numpy(), each)


def test_what_numpy_pickled_is_named_and_not_read(tmp_path: Path) -> None:
    value = {"o": numpy.array([{}], dtype=object), "t": numpy.array(["a"]), "w": W.numpy()}
    numpy.savez(tmp_path / "m.npz", **value)  # type: ignore[arg-type]
    found = arrays_of(tmp_path / "m.npz")
    assert found["w"].read() == bytes_of(W)
    for name in ("o", "t"):
        with pytest.raises(Unreadable, match="not one of numbers"):
            found[name].read()


def test_one_array_of_numpys(tmp_path: Path) -> None:
    numpy.save(tmp_path / "m.npy", W.numpy())
    assert arrays_of(tmp_path / "m.npy")[""].read() == bytes_of(W)


# Folders.


def test_a_folder_of_shards(tmp_path: Path) -> None:
    (tmp_path / "b-1.safetensors").write_bytes(safetensors({"a": W}))
    (tmp_path / "b-2.safetensors").write_bytes(safetensors({"b": W + 1, "c": W + 2}))
    (tmp_path / "other.safetensors").write_bytes(safetensors({"z": W}))
    index = {"weight_map": {"a": "b-1.safetensors", "b": "b-2.safetensors", "c": "b-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = arrays_of(tmp_path)
    assert {name: each.read() for name, each in found.items()} == {
        "a": bytes_of(W),
        "b": bytes_of(W + 1),
        "c": bytes_of(W + 2),
    }


def test_a_folder_without_an_index(tmp_path: Path) -> None:
    torch.save({"w": W}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text("{}")
    assert list(arrays_of(tmp_path)) == ["w"]
    assert list(jellyml.open(tmp_path).arrays) == ["w"]


@pytest.mark.parametrize(
    "name", ["../out.safetensors", "/etc/passwd", "..", "a\\b", "c:x", "a\0", "\ud800"]
)
def test_an_index_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "out.safetensors").write_bytes(safetensors({"a": W}))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(JellyError, match="outside its folder"):
        arrays_of(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_an_index_that_is_no_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "a.index.json")
    (tmp_path / "b.index.json").mkdir()
    monkeypatch.setattr(readers, "_indexed", lambda index: pytest.fail(f"{index} is no file"))
    with pytest.raises(NoArrays, match="has no weights"):
        arrays_of(tmp_path)


# Equality.


def saved(tmp_path: Path, name: str, value: object, way: str = "zip") -> LazyArray:
    WAYS[way]({"w": value}, tmp_path / name)
    return arrays_of(tmp_path / name)["w"]


def test_equality_is_exact(tmp_path: Path) -> None:
    """What others take for equal within a tolerance is not."""
    tiny = torch.full((1000,), 1e-9)
    ulp = W.clone()
    ulp.view(torch.int32)[0, 3] += 1
    zero = torch.zeros(3)
    nan = torch.tensor([float("nan")])
    mine = [saved(tmp_path, f"a{n}", each) for n, each in enumerate([tiny, W, zero, nan, W])]
    theirs = [
        saved(tmp_path, f"b{n}", each) for n, each in enumerate([-tiny, ulp, -zero, nan, W.clone()])
    ]
    assert [a == b for a, b in zip(mine, theirs, strict=True)] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("one", WAYS)
@pytest.mark.parametrize("other", WAYS)
def test_equal_however_they_are_saved(tmp_path: Path, one: str, other: str) -> None:
    a, b = saved(tmp_path, "a", W, one), saved(tmp_path, "b", W.t().contiguous().t(), other)
    assert a == b
    assert a.digest == b.digest
    assert a != saved(tmp_path, "c", W + 1, other)


def test_what_lies_between_the_elements_of_a_view_does_not_count(tmp_path: Path) -> None:
    other = W.clone()
    other[:, 1::2] += 1
    views = (W[:, ::2], other[:, ::2], (other + 1)[:, ::2])
    a, b, c = (saved(tmp_path, f"v{number}", each) for number, each in enumerate(views))
    assert a.strides == b.strides == (6, 2)
    assert (a == b, a == c) == (True, False)


def test_shape_and_type_tell_before_the_bytes(tmp_path: Path) -> None:
    a = saved(tmp_path, "a", W)
    others = [W.reshape(6, 4), W.view(torch.int32), W.double()]
    for number, other in enumerate(others):
        b = saved(tmp_path, f"b{number}", other)
        (tmp_path / f"b{number}").unlink()
        assert a != b
    assert a != 3


def test_what_need_not_be_read_is_not(tmp_path: Path) -> None:
    """The same place of the same file; and digests that are known."""
    torch.save({"a": W, "b": W}, tmp_path / "m")
    (tmp_path / "n").hardlink_to(tmp_path / "m")
    found, linked = arrays_of(tmp_path / "m"), arrays_of(tmp_path / "n")
    other = saved(tmp_path, "o", W)
    assert found["a"].digest == other.digest
    (tmp_path / "m").write_bytes(b"")
    assert found["b"] == found["a"]
    assert found["a"] == linked["b"]
    assert found["a"] == other


def test_what_is_gone_is_an_error_and_no_difference(tmp_path: Path) -> None:
    a, b = saved(tmp_path, "a", W), saved(tmp_path, "b", W)
    assert b.stretch
    (tmp_path / "b").write_bytes((tmp_path / "b").read_bytes()[: b.stretch.offset + 10])
    with pytest.raises(Unreadable, match="ends before"):
        assert a == b
    (tmp_path / "b").unlink()
    with pytest.raises(Unreadable, match="could not be read"):
        b.read()


def test_large_ones_in_many_blocks(tmp_path: Path) -> None:
    big = torch.arange(1_000_001, dtype=torch.int32)
    other = big.clone()
    other[-1] += 1
    a = saved(tmp_path, "a", big)
    assert a == saved(tmp_path, "b", big)
    assert a != saved(tmp_path, "c", other)
    assert a == saved(tmp_path, "d", big, "deflated")
    assert a.read() == bytes_of(big)


# Views too large to be held.


@pytest.mark.parametrize("tile", [8, 64, 1 << 20])
def test_views_in_small_tiles(monkeypatch: pytest.MonkeyPatch, tile: int, tmp_path: Path) -> None:
    monkeypatch.setattr(strides, "_TILE", tile)
    monkeypatch.setattr(strides, "_TOGETHER", tile * 4)
    torch.save(views(), tmp_path / "m")
    for name, lazy in arrays_of(tmp_path / "m").items():
        assert lazy.read() == bytes_of(views()[name]), name


# Nothing is imported and nothing large is held.

_ALONE = """
import json, sys
from pathlib import Path
from jellyml.tensors import arrays_of
one, other = (arrays_of(Path(name)) for name in sys.argv[1:])
same = [name for name in one if one[name] == other[name]]
digests = [each.digest for each in one.values()]
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
heavy = [name for name in ("torch", "numpy", "pickle", "zipfile") if name in sys.modules]
print(json.dumps([same, heavy, peak, len(digests)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    size = 100 << 20
    for name in ("a", "b"):
        value = {"w": torch.zeros(size // 4), "t": torch.zeros(5000, 5000)}
        value["t"] = value["t"].t()
        value["w"][0] = name == "b"
        torch.save(value, tmp_path / name)
    words = [sys.executable, "-c", _ALONE, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(words, env=environment(), check=True, capture_output=True)
    same, heavy, peak, count = json.loads(done.stdout)
    assert (same, heavy, count) == (["t"], [], 2)
    assert peak < 64


def test_what_is_no_file_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    for path in (tmp_path / "a.txt", tmp_path, tmp_path / "missing"):
        with pytest.raises(NoArrays):
            arrays_of(path)


def test_a_record_that_says_how_it_is_shown(tmp_path: Path) -> None:
    assert repr(saved(tmp_path, "a", W)) == "<LazyArray 'w' float32 (4, 6)>"
    assert struct.calcsize("<f") * 24 == saved(tmp_path, "a", W).nbytes
