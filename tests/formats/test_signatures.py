"""The table of formats: every format is in it, and its readers select what they should."""

import pytest

from jellyml.formats import signatures
from jellyml.formats.registry import FORMATS
from jellyml.formats.signatures import TABLE, Use
from test_imports import modules_after


def test_every_format_has_a_row() -> None:
    names = {row.name for row in TABLE}

    assert {each.name for each in FORMATS} - names == {"compressed", "scan"}
    assert len(names) == len(TABLE)


def test_the_table_loads_no_format() -> None:
    loaded = modules_after("import jellyml.formats.signatures")

    assert {name for name in loaded if name.startswith("jellyml.")} == {
        "jellyml.formats",
        "jellyml.formats.signatures",
    }


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (Use.SHARD, ".safetensors .bin .pt .pth .ckpt .gguf .npz"),
        (Use.TRANSFORMERS, ".safetensors .bin .index.json"),
        (Use.HEAD_FIRST, ".safetensors .gguf .onnx .bundle .json"),
        (Use.IGNORED, ".safetensors .pt .pth .ckpt .gguf .npz .onnx .h5 .keras"),
        (Use.ALWAYS_A_MODEL, ".h5 .keras .joblib"),
        (Use.DATA, ".npz .npy .h5 .hdf5"),
        (
            Use.WHOLE_FOLDER,
            ".safetensors.index.json .bin.index.json .distcp _optim_states.pt",
        ),
    ],
)
def test_a_flag_selects_suffixes_in_the_order_of_the_table(use: Use, expected: str) -> None:
    assert signatures.suffixes(use) == tuple(expected.split())


@pytest.mark.parametrize(
    "name",
    [
        *[
            "a.pt",
            "a.PTH",
            "a.pt2",
            "a.ckpt",
            "a.bin",
            "a.distcp",
            "a.onnx",
            "a.keras",
            "a.hdf5",
            "a.npy",
            "a.pkl",
            "a.pickle",
        ],
        *[
            "a.joblib",
            "a.skops",
            "a.msgpack",
            "a.tflite",
            "x.data-00000-of-00001",
            "custom_checkpoint_0",
        ],
        *[
            "custom_checkpoint_1.x",
            "checkpoint_100",
            "Model",
            "model-1",
            "check",
            "mp_rank_0_optim_states.pt",
        ],
        "a\n.pt",
    ],
)
def test_names_of_weights_are_searched_first(name: str) -> None:
    assert signatures.is_named_as_weights(name)


@pytest.mark.parametrize(
    "name", ["a.txt", "a.bundle", "a.index.json", "config.json", "a.pt.txt", "apt"]
)
def test_other_names_are_not(name: str) -> None:
    assert not signatures.is_named_as_weights(name)


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (b"GGUF\3\0\0\0", signatures.GGUF),
        (b"\x1c\0\0\0TFL3", signatures.TFLITE),
        (
            b"\x80\4\x95" + bytes(8) + signatures.TORCH_LEGACY.first_bytes[0],
            signatures.TORCH_LEGACY,
        ),
        (b"\x80\2" + signatures.TORCH_LEGACY.first_bytes[0], signatures.TORCH_LEGACY),
        (bytes(8) + b"{}", signatures.SAFETENSORS),
    ],
)
def test_first_bytes_are_at_their_offset(head: bytes, row: signatures.Signature) -> None:
    assert row.matches(head)
    assert row.matches(head[: row.reach])
    assert not row.matches(bytes(12) + head)
