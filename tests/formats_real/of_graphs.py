"""What holds a network too: GGUF, ONNX, Keras, HDF5, TensorFlow Lite."""

from pathlib import Path
from typing import Any

from case import Case, Reader, numbers


def _gguf_save(path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_string("note", "é")
    for name, value in numbers().items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_load(path: Path) -> object:
    import gguf

    reader = gguf.GGUFReader(path)
    return list(reader.fields), {each.name: each.data.tolist() for each in reader.tensors}


def onnx_model(opset: int = 17) -> Any:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 9
    return model


def _onnx_save(path: Path) -> None:
    import onnx

    model = onnx_model()
    onnx.helper.set_model_props(model, {"note": "é"})
    onnx.save(model, path)


def _onnx_save_external(path: Path) -> None:
    import onnx

    onnx.save(
        onnx_model(), path, save_as_external_data=True, location="model.data", size_threshold=0
    )


def _onnx_load(path: Path) -> object:
    import onnx

    model = onnx.load(path)
    onnx.checker.check_model(str(path), full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True)
    return str(model.graph), [(each.key, each.value) for each in model.metadata_props]


def _onnx_run(path: Path) -> object:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    found = session.run(None, {"x": np.ones((1, 3), dtype=np.float32)})
    return found[0].tolist(), session.get_modelmeta().custom_metadata_map


_ONNX = {"onnx.load, checker, shape inference": _onnx_load, "onnxruntime": _onnx_run}

OTHERS = (
    Case("GGUF", "GGUF", "model.gguf", "gguf", _gguf_save, {"GGUFReader": _gguf_load},
         line="the writer's own, then fill"),
    Case("ONNX", "ONNX", "model.onnx", "onnx", _onnx_save, _ONNX, needs=("onnxruntime",),
         line="`onnx.helper.set_model_props(model, snapshot.safetensors_metadata)` before "
              "`onnx.save`; it replaces other properties, so name those too"),
    Case("ONNX with external data", "ONNX", "model.onnx", "onnx", _onnx_save_external, _ONNX,
         needs=("onnxruntime",)),
)  # fmt: skip


def _keras_model() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def _weights(model: Any) -> object:
    return [value.tolist() for value in model.get_weights()]


def _keras_load(path: Path) -> object:
    import keras

    return _weights(keras.saving.load_model(path))


def _keras_load_weights(path: Path) -> object:
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.load_weights(path)
    return _weights(model)


def _h5_save(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, value in numbers().items():
            file[name] = value


def _h5_load(path: Path) -> object:
    import h5py

    with h5py.File(path, "r") as file:
        return {name: value[()].tolist() for name, value in file.items()}


def _h5_save_latest(path: Path) -> None:
    import h5py

    with h5py.File(path, "w", libver="latest") as file:
        packed = {"compression": "gzip"}
        file.create_dataset("layer/weight", data=numbers()["weight"], **packed)


KERAS = (
    Case("Keras", "Keras", "model.keras", "keras", lambda path: _keras_model().save(path),
         {"load_model": _keras_load, "load_weights": _keras_load_weights},
         line="`model.save(path)`, then fill"),
    Case("Keras HDF5", "HDF5", "model.h5", "keras", lambda path: _keras_model().save(path),
         {"load_model": _keras_load, "load_weights": _keras_load_weights}, needs=("h5py",)),
    Case("Keras weights", "HDF5", "model.weights.h5", "keras",
         lambda path: _keras_model().save_weights(path), {"load_weights": _keras_load_weights},
         needs=("h5py",)),
    Case("HDF5", "HDF5", "model.h5", "h5py", _h5_save, {"h5py.File": _h5_load},
         line="`file[\"jellyml_code_snapshot\"] = numpy.frombuffer(snapshot.filling, \"u1\")`, "
              "and `jellyml_manifest` likewise"),
    Case("HDF5, latest superblock", "HDF5", "model.h5", "h5py", _h5_save_latest,
         {"h5py.File": lambda path: __import__("h5py").File(path)["layer/weight"][()].tolist()}),
)  # fmt: skip


def _tflite_save(path: Path) -> None:
    import tensorflow as tf

    function = tf.function(lambda x: x @ tf.reshape(tf.range(6.0), (3, 2)))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 3)))
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())


def _tflite_run(*, content: bool) -> Reader:
    def read(path: Path) -> object:
        import numpy as np
        import tensorflow as tf

        given = {"model_content": path.read_bytes()} if content else {"model_path": str(path)}
        interpreter = tf.lite.Interpreter(**given)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, np.ones((1, 3), dtype=np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()

    return read


TENSORFLOW = (
    Case("TensorFlow Lite", "TensorFlow Lite", "model.tflite", "tensorflow", _tflite_save,
         {"Interpreter(path)": _tflite_run(content=False),
          "Interpreter(content)": _tflite_run(content=True)},
         line="the converter's bytes, then fill"),
)  # fmt: skip
