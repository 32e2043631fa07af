"""What safetensors, gguf and ml_dtypes themselves write and read: our arrays are theirs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from jellyml.tensors import arrays_of

W = torch.arange(24.0).reshape(4, 6)
NAMES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"),
    *("bool", "float8_e4m3fn", "float8_e5m2", "complex64", "uint16", "uint32", "uint64"),
)


def test_safetensors(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    value = {name: W.to(getattr(torch, name)) for name in NAMES}
    library.save_file(value, tmp_path / "m", metadata={"a": 'b"\\x'})
    found = arrays_of(tmp_path / "m")
    assert set(found) == set(value)
    for name, each in value.items():
        assert (found[name].dtype, found[name].shape) == (name, (4, 6))
        assert found[name].read() == each.view(torch.uint8).numpy().tobytes()


def test_gguf(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="gguf is not installed")
    kinds = gguf.GGMLQuantizationType
    writer = gguf.GGUFWriter(tmp_path / "m", "llama")
    writer.add_array("tokens", ["a", "b"] * 1000)
    writer.add_tensor("w", W.numpy())
    random = np.random.default_rng(0).random((4, 512), dtype=np.float32)
    for kind in (kinds.Q4_0, kinds.Q8_0, kinds.F16, kinds.BF16, kinds.TQ1_0):
        packed = gguf.quants.quantize(random, kind)
        writer.add_tensor(kind.name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = arrays_of(tmp_path / "m")
    theirs = gguf.GGUFReader(tmp_path / "m").tensors
    assert [each.name for each in theirs] == list(found)
    for each in theirs:
        assert found[each.name].read() == each.data.tobytes()
        assert found[each.name].shape == tuple(int(size) for size in reversed(each.shape))


@pytest.mark.parametrize("name", [name for name in NAMES if "float8" in name or "b" in name])
def test_types_that_numpy_has_with_ml_dtypes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    torch.save(
        {"w": W.to(getattr(torch, name)), "t": W.to(getattr(torch, name)).t()}, tmp_path / "m"
    )
    found = arrays_of(tmp_path / "m")
    wanted = W.to(getattr(torch, name)).double().numpy()
    assert np.array_equal(found["w"].numpy().astype("f8"), wanted)
    assert np.array_equal(found["t"].numpy().astype("f8"), wanted.T)
