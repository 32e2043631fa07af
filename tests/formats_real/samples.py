"""Write the files in ``tests/samples``: real ones, for the tests that run without libraries."""

from pathlib import Path

from cases import CASES

SAMPLES = Path(__file__).parent.parent / "samples"
_SMALL = {
    "GGUF": "model.gguf",
    "ONNX": "model.onnx",
    "HDF5": "model.h5",
    "HDF5, latest superblock": "latest.h5",
    "joblib with arrays": "model.joblib",
    "NumPy .npz, compressed": "model.npz",
    "NumPy .npy with fields": "fields.npy",
    "Flax msgpack": "model.msgpack",
    "TensorFlow Lite": "model.tflite",
    "safetensors": "model.safetensors",
    "one file of a DCP folder": "model.distcp",
}
_LARGEST = 4096


def write(folder: Path) -> None:
    for case in CASES:
        if case.name in _SMALL:
            path = folder / _SMALL[case.name]
            case.write(path)
            assert path.stat().st_size <= _LARGEST, path


if __name__ == "__main__":
    write(SAMPLES)
