"""What holds values: NumPy, pickle, joblib, skops, Flax."""

import pickle
from pathlib import Path
from typing import Any

from case import Case, Reader, numbers


def _npz_load(path: Path) -> object:
    import numpy as np

    with np.load(path) as file:
        return {name: file[name].tolist() for name in numbers()}


def _mlx_load(path: Path) -> object:
    import mlx.core as mx

    loaded: Any = mx.load(str(path))
    return {name: loaded[name].tolist() for name in numbers()}


def _mlx_save(path: Path) -> None:
    import mlx.core as mx

    arrays: Any = {name: mx.array(value.tolist()) for name, value in numbers().items()}
    (mx.save_gguf if path.suffix == ".gguf" else mx.save_safetensors)(str(path), arrays)


def _npz_jax(path: Path) -> object:
    import jax.numpy as jnp

    loaded: Any = jnp.load(path)
    return {name: loaded[name].tolist() for name in numbers()}


def _npy_save(path: Path) -> None:
    import numpy as np

    np.save(path, numbers()["weight"])


def _npy_save_objects(path: Path) -> None:
    import numpy as np

    np.save(path, np.array([{"a": 1}, None], dtype=object))


def _npy_save_fields(path: Path) -> None:
    import numpy as np

    np.save(path, np.zeros(3, dtype=[("a", "<f4"), ("b", "<i8", (2, 2)), ("c", [("d", "<U3")])]))


def _npy_save_two(path: Path) -> None:
    import numpy as np

    with path.open("wb") as file:
        np.save(file, numbers()["weight"])
        np.save(file, numbers()["bias"])


def _npy_load(**options: Any) -> Reader:
    def read(path: Path) -> object:
        import numpy as np

        return str(np.load(path, **options).tolist())

    return read


def _savez(path: Path, *, compressed: bool = False) -> None:
    import numpy as np

    arrays = numbers() | {"a/data/b": np.ones(1)}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)


_NPY = {"np.load": _npy_load(), "np.load(mmap_mode='r')": _npy_load(mmap_mode="r")}

NUMPY = (
    Case("NumPy .npz", "NumPy archive", "model.npz", "numpy", _savez,
         {"np.load": _npz_load, "jnp.load": _npz_jax},
         line="`np.savez(path, **arrays, **{k: v.numpy() for k, v in snapshot.items()})`"),
    Case("NumPy .npz, compressed", "NumPy archive", "model.npz", "numpy",
         lambda path: _savez(path, compressed=True), {"np.load": _npz_load}),
    Case("MLX .npz", "NumPy archive", "model.npz", "mlx", _savez, {"mx.load": _mlx_load},
         needs=("numpy",)),
    Case("MLX .safetensors", "safetensors", "model.safetensors", "mlx", _mlx_save,
         {"mx.load": _mlx_load}, needs=("numpy",), line="`mx.save_safetensors(path, arrays, "
         "{\"format\": \"mlx\", **snapshot.safetensors_metadata})`"),
    Case("MLX .gguf", "GGUF", "model.gguf", "mlx", _mlx_save, {"mx.load": _mlx_load},
         needs=("numpy",)),
    Case("NumPy .npy", "NumPy array", "model.npy", "numpy", _npy_save, _NPY,
         line="`np.save(path, array)`, then fill"),
    Case("NumPy .npy of objects", "NumPy array", "model.npy", "numpy", _npy_save_objects,
         {"np.load(allow_pickle=True)": _npy_load(allow_pickle=True)}),
    Case("NumPy .npy with fields", "NumPy array", "model.npy", "numpy", _npy_save_fields, _NPY),
    Case("NumPy .npy, several in one", "NumPy array", "model.npy", "numpy", _npy_save_two, {},
         refused="read on"),
)  # fmt: skip


def _estimator() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(5, random_state=0).fit([[0, 1], [1, 0], [1, 1]], [0, 1, 1])


def _prediction(model: Any) -> object:
    return model.predict_proba([[0, 0.4], [1, 0.6]]).tolist()


def _pickle_save(path: Path, *, times: int = 1, protocol: int = 4) -> None:
    with path.open("wb") as file:
        for _ in range(times):
            pickle.dump(_estimator(), file, protocol)


def _pickle_load(path: Path) -> object:
    with path.open("rb") as file:
        from_file = _prediction(pickle.load(file))
    return from_file, _prediction(pickle.loads(path.read_bytes()))


def _joblib_save(path: Path, **options: Any) -> None:
    import joblib

    joblib.dump(_estimator(), path, **options)


def _joblib_save_arrays(path: Path) -> None:
    import joblib
    import numpy as np

    joblib.dump({"o": np.array([{"a": np.ones(2)}, None], dtype=object), **numbers()}, path)


def _joblib_save_two(path: Path) -> None:
    import joblib

    with path.open("wb") as file:
        joblib.dump(numbers(), file)
        joblib.dump(numbers(), file)


def _joblib_load(path: Path) -> object:
    import joblib

    return _prediction(joblib.load(path))


def _joblib_load_arrays(**options: Any) -> Reader:
    def read(path: Path) -> object:
        import joblib

        loaded = joblib.load(path, **options)
        return {name: loaded[name].tolist() for name in numbers()}

    return read


def _skops_save(path: Path) -> None:
    from skops.io import dump

    dump(_estimator(), path)


def _skops_load(path: Path) -> object:
    from skops.io import get_untrusted_types, load

    untrusted = get_untrusted_types(file=path)
    return untrusted, _prediction(load(path, trusted=untrusted))


PICKLES = (
    *(
        Case(f"pickle, protocol {protocol}", "pickle", "model.pkl", "scikit-learn",
             lambda path, protocol=protocol: _pickle_save(path, protocol=protocol),  # type: ignore[misc]
             {"pickle.load, loads": _pickle_load},
             line='`pickle.dump({"model": model, "code": snapshot.filling, '
                  '"record": snapshot.manifest}, file, 4)`'
             if protocol == 4 else "")
        for protocol in (2, 3, 4, 5)
    ),
    Case("pickles, several in one", "pickle", "model.pkl", "scikit-learn",
         lambda path: _pickle_save(path, times=2), {}, refused="read on"),
    Case("joblib", "pickle", "model.joblib", "joblib", _joblib_save,
         {"joblib.load": _joblib_load},
         needs=("scikit-learn",), line="`joblib.dump(model, path)`, then fill"),
    Case("joblib with arrays", "pickle", "model.joblib", "joblib", _joblib_save_arrays,
         {"joblib.load": _joblib_load_arrays(),
          "joblib.load(mmap_mode='r')": _joblib_load_arrays(mmap_mode="r")}),
    Case("joblib, several in one", "pickle", "model.joblib", "joblib", _joblib_save_two, {},
         refused="read on"),
    *(
        Case(f"joblib, {method}", "compressed", "model.joblib", "joblib",
             lambda path, method=method: _joblib_save(path, compress=(method, 3)),  # type: ignore[misc]
             {}, refused="compressed", needs=("scikit-learn",))
        for method in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4")
    ),
    Case("skops", "skops", "model.skops", "skops", _skops_save,
         {"skops.io.load, get_untrusted_types": _skops_load},
         line="`skops.io.dump(model, path)`, then fill"),
)  # fmt: skip


def _train_state() -> Any:
    import jax.numpy as jnp
    import optax
    from flax.training.train_state import TrainState

    return TrainState.create(apply_fn=None, params={"w": jnp.arange(3.0)}, tx=optax.adam(1e-3))


def _flax_save(path: Path) -> None:
    from flax import serialization

    path.write_bytes(serialization.to_bytes(_train_state()))


def _flax_save_many(path: Path) -> None:
    from flax import serialization

    path.write_bytes(serialization.to_bytes({f"layer{i}": numbers() for i in range(14)}))


def _flax_class(path: Path) -> object:
    from flax import serialization

    restored = serialization.from_bytes(_train_state(), path.read_bytes())
    return int(restored.step), str(restored.params), str(restored.opt_state)


def _flax_restore(path: Path) -> object:
    from flax import serialization

    restored = serialization.msgpack_restore(path.read_bytes())
    return list(restored), str(restored)


FLAX = (
    Case("Flax msgpack", "Flax msgpack", "model.msgpack", "flax", _flax_save,
         {"from_bytes(TrainState)": _flax_class, "msgpack_restore": _flax_restore},
         line="`serialization.to_bytes(state)`, then fill"),
    Case("Flax msgpack, its head grows", "Flax msgpack", "model.msgpack", "flax", _flax_save_many,
         {"msgpack_restore": _flax_restore}),
)  # fmt: skip
