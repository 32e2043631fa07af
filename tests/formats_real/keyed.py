"""What a user's own program may do: save the records under their keys, with the library's means."""

import base64
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Records = Mapping[str, bytes]


def as_arrays(records: Records) -> dict[str, Any]:
    import numpy as np

    return {key: np.frombuffer(record, np.uint8) for key, record in records.items()}


def as_tensors(records: Records, prefix: str = "") -> dict[str, Any]:
    import torch

    tensors = {
        prefix + key: torch.frombuffer(bytearray(record), dtype=torch.uint8)
        for key, record in records.items()
    }
    return {"w": torch.zeros(3), **tensors}


def _texts(records: Records) -> dict[str, str]:
    return {key: base64.b64encode(record).decode() for key, record in records.items()}


def _torch(path: Path, records: Records) -> None:
    import torch

    torch.save(as_tensors(records), path)


def _torch_legacy(path: Path, records: Records) -> None:
    import torch

    torch.save(as_tensors(records), path, _use_new_zipfile_serialization=False)


def _extra_files(path: Path, records: Records) -> None:
    import torch

    module = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1))
    torch.jit.save(module, path, _extra_files=dict(records))


def _safetensors(path: Path, records: Records) -> None:
    from safetensors.torch import save_file

    save_file(as_tensors(records), path)


def _safetensors_nested(path: Path, records: Records) -> None:
    from safetensors.torch import save_file

    save_file(as_tensors(records, "model."), path)


def _safetensors_metadata(path: Path, records: Records) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(3)}, path, _texts(records))


def _onnx(path: Path, records: Records) -> None:
    import onnx
    from of_graphs import onnx_model

    model = onnx_model()
    onnx.helper.set_model_props(model, _texts(records))
    onnx.save(model, path)


def _h5py(path: Path, records: Records) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for key, array in as_arrays(records).items():
            file[key] = array


def _savez(path: Path, records: Records) -> None:
    import numpy as np

    np.savez(path, w=np.zeros(3), **as_arrays(records))


def _savez_compressed(path: Path, records: Records) -> None:
    import numpy as np

    np.savez_compressed(path, w=np.zeros(3), **as_arrays(records))


def _pickled(path: Path, records: Records) -> None:
    path.write_bytes(pickle.dumps({"w": 1, **records}, 4))


def _pickled_arrays(path: Path, records: Records) -> None:
    path.write_bytes(pickle.dumps({"w": 1, **as_arrays(records)}, 5))


def _joblib(path: Path, records: Records) -> None:
    import joblib

    joblib.dump({"w": 1, **records}, path)


def _joblib_arrays(path: Path, records: Records) -> None:
    import joblib

    joblib.dump({"w": 1, **as_arrays(records)}, path)


def _flax(path: Path, records: Records) -> None:
    from flax import serialization

    path.write_bytes(serialization.to_bytes(as_arrays(records)))


def _gguf(path: Path, records: Records) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, "llama")
    for key, array in as_arrays(records).items():
        writer.add_tensor(key, array.view(np.int8))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


WAYS: dict[str, Callable[[Path, Records], None]] = {
    "torch.save": _torch,
    "torch.save, legacy": _torch_legacy,
    "torch.jit.save, extra files": _extra_files,
    "safetensors, tensors": _safetensors,
    "safetensors, nested": _safetensors_nested,
    "safetensors, metadata": _safetensors_metadata,
    "onnx, metadata": _onnx,
    "h5py, datasets": _h5py,
    "np.savez": _savez,
    "np.savez_compressed": _savez_compressed,
    "pickle, bytes": _pickled,
    "pickle, arrays": _pickled_arrays,
    "joblib, bytes": _joblib,
    "joblib, arrays": _joblib_arrays,
    "flax": _flax,
    "gguf, tensors": _gguf,
}
