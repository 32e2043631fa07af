import io
import json
import os
import pickle
import py_compile
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Folder
from jellyml.snapshot.facts import LeftOut
from jellyml.working_tree.exclude import Untracked, choose, is_checkpoint

MB = 1_000_000
FIXTURES = Path(__file__).parents[1] / "fixtures"
MAGIC = b'{"magic_number": "jelly_ml_snapshot"'
FILLING = (MAGIC + b', "version": "january-7-2023"}').ljust(1024, b"\0") + b"# v2 git bundle\n"
FLOATS = numpy.random.default_rng(1).random((600, 600), numpy.float32)


def torch_zip() -> bytes:
    out = io.BytesIO()
    torch.save({"w": torch.from_numpy(FLOATS)}, out)
    return out.getvalue()


def torch_zip_of_many() -> bytes:
    out = io.BytesIO()
    torch.save([torch.zeros(1) for _ in range(5000)], out)
    return out.getvalue()


def torch_legacy() -> bytes:
    out = io.BytesIO()
    tensors = {"w": torch.from_numpy(FLOATS)}
    torch.save(tensors, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def torch_script() -> bytes:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.from_numpy(FLOATS))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.w

    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(Net(), torch.ones(1, 600)), out)
    return out.getvalue()


def torch_export() -> bytes:
    out = io.BytesIO()
    net = torch.nn.Linear(600, 600)
    torch.export.save(torch.export.export(net, (torch.ones(1, 600),)), out)
    return out.getvalue()


def npz(save: Callable[..., None]) -> bytes:
    out = io.BytesIO()
    save(out, weights=FLOATS)
    return out.getvalue()


def npy() -> bytes:
    out = io.BytesIO()
    numpy.save(out, FLOATS)
    return out.getvalue()


def keras() -> bytes:
    """As keras 3 writes it: three members, stored."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", "{}" * 9000)
        archive.writestr("model.weights.h5", FLOATS.tobytes())
    return out.getvalue()


def compiled() -> bytes:
    """As torch packs a model that it compiled ahead of time: no pickle in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/data/aotinductor/model/model.so", FLOATS.tobytes())
    return out.getvalue()


def safetensors(metadata: str = "") -> bytes:
    """The length of the header, 8 bytes, little-endian; the header, JSON; the tensors."""
    tensor = {"dtype": "F32", "shape": [600, 600], "data_offsets": [0, FLOATS.nbytes]}
    head = json.dumps({"__metadata__": {"x": metadata}, "w": tensor}).encode()
    return struct.pack("<Q", len(head)) + head + FLOATS.tobytes()


def gguf() -> bytes:
    """Magic, version, number of tensors, number of keys, ..."""
    return b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + FLOATS.tobytes()


def hdf5() -> bytes:
    return b"\x89HDF\r\n\x1a\n" + bytes(88) + FLOATS.tobytes()


def tflite() -> bytes:
    return struct.pack("<I", 28) + b"TFL3" + bytes(20) + FLOATS.tobytes()


def onnx() -> bytes:
    """A ModelProto with all that may come before its graph; no NUL among it."""

    def field(number: int, data: bytes) -> bytes:
        size, groups = len(data), []
        while size > 0x7F:
            groups.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([number << 3 | 2, *groups, size]) + data

    made_by = field(2, b"pytorch") + field(3, b"2.13") + field(4, b"org") + b"\x28\x96\x01"
    nodes = field(1, b"a node" * 2000)
    graph = field(7, nodes + field(5, FLOATS.tobytes()))
    return b"\x08\x0a" + made_by + field(6, b"doc" * 60) + graph + field(8, b"\x10\x15")


def flax() -> bytes:
    """{"params": {"bias": array}}; an array is extension 1 around (shape, type, bytes)."""
    data = FLOATS.tobytes()
    array = b"\x93\x92\xcd\x02\x58\xcd\x02\x58\xa7float32\xc6" + struct.pack(">I", len(data)) + data
    return b"\x81\xa6params\x81\xa4bias\xc9" + struct.pack(">I", len(array)) + b"\x01" + array


WEIGHTS: dict[str, Callable[[], bytes]] = {
    "torch": torch_zip,
    "torch of many tensors": torch_zip_of_many,
    "torch before 1.6": torch_legacy,
    "TorchScript": torch_script,
    "torch.export": torch_export,
    "AOTInductor": compiled,
    "npz": lambda: npz(numpy.savez),
    "compressed npz": lambda: npz(numpy.savez_compressed),
    "npy": npy,
    "Keras": keras,
    "safetensors": safetensors,
    "safetensors with a long header": lambda: safetensors("x" * 9000),
    "GGUF": gguf,
    "HDF5": hdf5,
    "TensorFlow Lite": tflite,
    "ONNX": onnx,
    "Flax": flax,
    **{
        f"pickle {protocol}": lambda protocol=protocol: pickle.dumps({"w": FLOATS}, protocol)  # type: ignore[misc]
        for protocol in (2, 3, 4, 5)
    },
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_are_known_by_their_bytes(folder: Folder, kind: str) -> None:
    content = WEIGHTS[kind]()
    assert len(content) > MB

    assert is_checkpoint(folder.write("train.py", content))
    assert not is_checkpoint(folder.write("small", content[: MB // 2]))


def test_weights_begin_over_1_mb(folder: Folder) -> None:
    content = safetensors()
    head = content[: len(content) - FLOATS.nbytes]

    assert not is_checkpoint(folder.write("a", head.ljust(MB, b"\1")))
    assert is_checkpoint(folder.write("a", head.ljust(MB + 1, b"\1")))


def test_a_small_file_with_a_filling_is_a_checkpoint(folder: Folder, repo: Folder) -> None:
    code = torch.frombuffer(bytearray(FILLING), dtype=torch.uint8)
    torch.save({"w": torch.ones(3), "jellyml_code_snapshot": code}, folder.path / "a")
    repo.git("bundle", "create", "code.bundle", "HEAD")

    assert is_checkpoint(folder.path / "a")
    assert is_checkpoint(FIXTURES / "written_by_1_0_clean.pth")
    assert is_checkpoint(FIXTURES / "written_by_1_0_dirty.pth")
    assert is_checkpoint(repo.path / "code.bundle")
    assert is_checkpoint(folder.write("b", bytes(20) + FILLING + b"end"))
    assert is_checkpoint(folder.write("c", bytes(3 << 20) + FILLING))
    # across the edge of two blocks
    assert is_checkpoint(folder.write("d", bytes((1 << 20) - 9) + FILLING + bytes(5000)))


def test_a_bundle_of_other_refs_is_none_of_ours(repo: Folder) -> None:
    repo.git("bundle", "create", "all.bundle", "--all")

    assert not is_checkpoint(repo.path / "all.bundle")


def test_code_and_documents_that_speak_of_fillings_are_no_checkpoints(folder: Folder) -> None:
    source = b"MAGIC = " + repr(MAGIC).encode() + b"\nDOC = '''" + FILLING.rstrip(b"\0") + b"'''\n"
    source = source.replace(b"\0", b"")
    path = folder.write("header.py", source)
    py_compile.compile(str(path), str(folder.path / "header.pyc"))
    with zipfile.ZipFile(folder.path / "source.zip", "w") as archive:
        archive.write(path)

    assert b"\0" in folder.read("header.pyc")
    assert MAGIC in folder.read("header.pyc")
    for name in ("header.py", "header.pyc", "source.zip"):
        assert not is_checkpoint(folder.path / name)
    assert not is_checkpoint(folder.write("page.md", FILLING.replace(b"\0", b" ")))
    assert not is_checkpoint(folder.write("dump.log", b"text\n" * 2000 + FILLING))


def archive_of(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, FLOATS.tobytes() if name.endswith("npy") else "x = 1\n" * 9)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"x = 1\n" * 200_000,
        b"GGUF is a format, " * 60_000,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + FLOATS.tobytes(),
        b"SQLite format 3\0" + FLOATS.tobytes(),
        b"\x7fELF\2\1\1\0" + FLOATS.tobytes(),
        b"PAR1" + FLOATS.tobytes(),
        FLOATS.tobytes(),
        bytes(2 * MB),
        b"\x08\x0a" + FLOATS.tobytes(),
        struct.pack("<Q", 9 * MB) + b'{"w": 1}' + FLOATS.tobytes(),
        b"\x08\x0a\x3a\x05graph" + FLOATS.tobytes(),
        b"\x08\x0a\x0a\x01x\x3a\x80\xf2\x57" + FLOATS.tobytes(),
        archive_of("pkg/__init__.py", "pkg/tests/data.npy"),
        archive_of("data.npy.txt", "data.npy"),
        archive_of("pkg/data.pkl.txt", "data.npy"),
        b"",
    ],
    ids=["python", "text", "png", "sqlite", "elf", "parquet", "floats", "zeros", "protobuf",
         "length", "small graph", "other field", "wheel", "npy", "pkl", "empty"],
)  # fmt: skip
def test_other_files_are_no_checkpoints(folder: Folder, content: bytes) -> None:
    assert not is_checkpoint(folder.write("model.pth", content))


def test_links_and_what_is_no_file_are_no_checkpoints(folder: Folder) -> None:
    folder.write("model.pth", gguf())
    (folder.path / "link").symlink_to("model.pth")
    os.mkfifo(folder.path / "fifo")

    assert is_checkpoint(folder.path / "model.pth")
    assert not is_checkpoint(folder.path / "link")
    assert not is_checkpoint(folder.path / "fifo")
    assert not is_checkpoint(folder.path)


@pytest.mark.parametrize("head", [gguf()[:4000], b"\0unknown", MAGIC], ids=["GGUF", "?", "text"])
def test_of_a_huge_file_little_is_read(folder: Folder, head: bytes) -> None:
    path = folder.write("huge", head)
    os.truncate(path, 1 << 36)  # a hole, nearly all of it
    before = bytes_read()

    assert is_checkpoint(path) == head.startswith(b"GGUF")

    assert bytes_read() - before < 1 << 20


def bytes_read() -> int:
    """Return how many bytes this process has read so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_what_was_appended_to_a_huge_file_is_seen(folder: Folder) -> None:
    path = folder.write("huge", b"\0unknown")
    os.truncate(path, 100 * MB)
    with path.open("ab") as file:
        file.write(FILLING)

    assert is_checkpoint(path)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\x08\x0a", b"PK\3\4", b"\x80\x02", b"\x81\xa1", MAGIC]),
    st.binary(max_size=300),
)  # fmt: skip
def test_no_bytes_make_it_fail(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(head + rest)
    is_checkpoint(path)
    os.truncate(path, MB + 1)

    is_checkpoint(path)


# What a snapshot takes.


def listed(folder: Folder, **sizes: int) -> list[Untracked]:
    for name, size in sizes.items():
        os.truncate(folder.write(name, "x"), size)
    return [Untracked(name.encode(), size) for name, size in sizes.items()]


def chosen(
    folder: Folder, files: list[Untracked], **limits: Any
) -> tuple[list[str], list[LeftOut]]:
    kept, left_out = choose(files, root=folder.path, **limits)
    return [os.fsdecode(file.path) for file in kept], left_out


@pytest.mark.parametrize("model", [b"runs/a.gguf", b"runs/a", b"other/b.gguf", b"a.gguf"])
def test_what_the_snapshot_is_for_is_left_out_however_small(folder: Folder, model: bytes) -> None:
    names = ["a.gguf", "runs/a.gguf", "runs/a/x.txt", "runs/ab/y.gguf", "runs/b.gguf", "runs/t.py"]
    for name in names:
        folder.write(name, b"x = 1\n" if name.endswith((".py", ".txt")) else gguf()[:500])
    files = [Untracked(name.encode(), 5) for name in names]
    out = {one.path for one in chosen(folder, files, model=model)[1]}
    assert (
        out
        == {
            b"runs/a.gguf": {"runs/a.gguf"},
            b"runs/a": {"runs/a/x.txt"},
            b"other/b.gguf": set(),
            b"a.gguf": {"a.gguf"},
        }[model]
    )


def test_checkpoints_are_left_out(folder: Folder) -> None:
    model, code = gguf(), b"x = 1\n"
    folder.write("runs/a.gguf", model)
    folder.write("train.py", code)
    files = [Untracked(b"train.py", len(code)), Untracked(b"runs/a.gguf", len(model))]

    assert chosen(folder, files) == (
        ["train.py"],
        [LeftOut("runs/a.gguf", "checkpoint", len(model))],
    )


def test_a_file_over_the_limit_is_left_out(folder: Folder) -> None:
    files = listed(folder, a=100, b=101)

    assert chosen(folder, files, max_file_size=100) == (["a"], [LeftOut("b", "too large", 101)])


def test_the_limits_by_default(folder: Folder) -> None:
    files = listed(folder, **{name: 50 * MB for name in "edcba"}, z=50 * MB + 1)

    assert chosen(folder, files) == (list("edcba"), [LeftOut("z", "too large", 50 * MB + 1)])
    assert chosen(folder, [*files, *listed(folder, y=1)])[1] == [
        LeftOut("a", "too much", 50 * MB),
        LeftOut("z", "too large", 50 * MB + 1),
    ]


def test_of_too_many_the_largest_are_left_out_first(folder: Folder) -> None:
    files = listed(folder, a=10, d=40, c=40, b=40, e=50, f=30)

    kept, left_out = chosen(folder, files, max_untracked=120)

    assert kept == ["a", "d", "c", "f"]
    assert [(one.path, one.reason) for one in left_out] == [("b", "too much"), ("e", "too much")]
    assert chosen(folder, files, max_untracked=210) == (list("adcbef"), [])
    assert len(chosen(folder, files, max_untracked=209)[0]) == 5


def test_what_is_left_out_for_itself_does_not_count_against_the_others(folder: Folder) -> None:
    model = gguf()
    folder.write("model", model)
    files = [Untracked(b"model", len(model)), *listed(folder, big=200, a=60)]

    kept, left_out = chosen(folder, files, max_file_size=100, max_untracked=60)

    assert kept == ["a"]
    assert [one.reason for one in left_out] == ["too large", "checkpoint"]


def test_a_file_that_cannot_be_read_is_named_and_one_that_is_gone_is_not(folder: Folder) -> None:
    (folder.path / "loop").symlink_to("loop")
    files = [Untracked(b"loop/x", 3), Untracked(b"gone", 5)]

    assert chosen(folder, files) == (["gone"], [LeftOut("loop/x", "unreadable", 3)])


def test_names_that_are_no_text_come_through(folder: Folder) -> None:
    name = b"caf\xe9 \n.bin"
    folder.write(os.fsdecode(name), gguf())

    (left,) = choose([Untracked(name, 3)], root=folder.path)[1]

    assert os.fsencode(left.path) == name


def test_the_reason_is_told_to_people() -> None:
    assert LeftOut("a", "checkpoint", 1_234_567_890).explained == "it is a checkpoint (1.2 GB)"
    assert LeftOut("a", "too large", 60 * MB).explained == (
        "it is larger than max_file_size (60.0 MB)"
    )
    assert LeftOut("a", "too much", 1500).explained == (
        "the untracked files together are larger than max_untracked (1.5 kB)"
    )
    assert LeftOut("a", "unreadable").explained == "it cannot be read"
    assert LeftOut("a", "unreadable", 3).explained == "it cannot be read (3 bytes)"
