"""One small file of every kind, for tests that run without the libraries.

Those in ``samples/`` were written by the libraries themselves (``formats_real/samples.py``); the
others are put together here.
"""

import json
import pickle
import struct
from pathlib import Path

from checkpoint_files import Member, archive, model, saved
from jellyml.formats import npy

SAMPLES = Path(__file__).parents[1] / "samples"


def safetensors(metadata: object = None, *, tensor: bool = True, pad: int = 0) -> bytes:
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    if tensor:
        header["w"] = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-len(text) % 8 + len(text) + pad)
    return struct.pack("<Q", len(text)) + text + b"1234" * tensor


def array(data: bytes) -> bytes:
    return npy.header_for(len(data)) + data


def npz(*names: str) -> bytes:
    return archive(*(Member(f"{name}.npy", array(name.encode())) for name in names))


def real(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def _keras() -> bytes:
    weights = Member("model.weights.h5", real("model.h5"))
    return archive(Member("metadata.json", b"{}"), Member("config.json", b"{}"), weights)


#: Format -> what files of it are called here, and their bytes.
FILES: dict[str, dict[str, bytes]] = {
    "torch zip": {
        "dictionary": saved(model()),
        "TorchScript": archive(
            Member("m/data.pkl", b"\x80\x02}."), Member("m/code/m.py", b"pass", deflate=True)
        ),
        "torch.export": archive(Member("m/version", b"1"), Member("m/data/weights/w", b"1234")),
    },
    "torch before 1.6": {
        f"protocol {protocol}": saved(
            model(), _use_new_zipfile_serialization=False, pickle_protocol=protocol
        )
        for protocol in (2, 4)
    },
    "safetensors": {
        "written by it": real("model.safetensors"),
        "no metadata": safetensors(),
        "metadata": safetensors({"format": "pt"}),
        "empty metadata": safetensors({}),
        "no tensors": safetensors(tensor=False),
        "nothing but metadata": safetensors({"a": '"__metadata__":{'}, tensor=False),
        "a header with room": safetensors(pad=800),
    },
    "GGUF": {"written by it": real("model.gguf"), "of odd length": real("model.gguf") + b"x"},
    "HDF5": {"h5py": real("model.h5"), "latest superblock": real("latest.h5")},
    "NumPy array": {
        "one": array(b"1234"),
        "with fields": real("fields.npy"),
        "of objects": b"\x93NUMPY\1\0\x76\0"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117)
        + b"\n"
        + pickle.dumps([None], 4),
    },
    "TensorFlow Lite": {"written by it": real("model.tflite")},
    "pickle": {
        **{f"protocol {each}": pickle.dumps({"a": [1, 2.5, "é"]}, each) for each in range(2, 6)},
        "joblib": real("model.joblib"),
    },
    "NumPy archive": {
        "one array": npz("w"),
        "names like torch's": npz("a/data/b", "a/data.pkl"),
        "compressed": real("model.npz"),
    },
    "Keras": {"model": _keras()},
    "skops": {"model": archive(Member("1.npy", array(b"1")), Member("schema.json", b"{}"))},
    "ONNX": {"written by it": real("model.onnx")},
    "Flax msgpack": {
        "written by it": real("model.msgpack"),
        "15 entries": b"\x8f" + b"".join(b"\xa2k%c\xc7\1\1x" % (65 + i) for i in range(15)),
        "16 entries": b"\xde\0\x10" + b"".join(b"\xa2k%c\xc7\1\1x" % (65 + i) for i in range(16)),
        "an odd head": b"\xdf\0\0\0\1\xa1k\xc7\1\1x",
    },
}  # fmt: skip

#: What cannot be filled: the format, words of the reason, and the bytes.
REFUSED: dict[str, tuple[str, str, bytes]] = {
    "two pickles": ("pickle", "read on", pickle.dumps(1, 4) * 2),
    "a pickle and a newline": ("pickle", "read on", pickle.dumps(1, 4) + b"\n"),
    "joblib twice": ("pickle", "read on", real("model.joblib") * 2),
    "a pickle cut off": ("pickle", "cannot be determined", pickle.dumps([1, 2, 3], 4)[:-1]),
    "joblib cut off": ("pickle", "cannot be determined", real("model.joblib")[:-40]),
    "two arrays": ("NumPy array", "read on", array(b"1") * 2),
    "an array cut off": ("NumPy array", "read on", array(b"1234")[:-1]),
    "an array of nonsense": ("NumPy array", "damaged", array(b"1234").replace(b"u1", b"zz")),
    "HDF5 cut off": ("HDF5", "cut off", real("model.h5")[:-1]),
    "HDF5 of another kind": ("HDF5", "cannot be determined", real("model.h5")[:8] + b"\x09" * 2000),
    "a header for the hub": ("safetensors", "25,000,000", safetensors(pad=25_000_000 - 64)),
    "gzip": ("compressed", "gzip", b"\x1f\x8b\x08\0" + bytes(30)),
    "zlib": ("compressed", "zlib", b"\x78\x9c" + bytes(30)),
    "zstd": ("compressed", "zstd", b"\x28\xb5\x2f\xfd" + bytes(30)),
    "a file of DCP": ("scan", "not one that is known", real("model.distcp")),
    "anything": ("scan", "not one that is known", b"anything"),
    "nothing": ("scan", "not one that is known", b""),
}
