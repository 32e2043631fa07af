"""Real training runs, tiny: what they save carries the code, and loads as before."""

import os
import shutil
import tracemalloc
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from carried import carries

from conftest import Folder
from jellyml.checkpoint import SIDECAR
from jellyml.errors import JellyWarning

os.environ.setdefault("KERAS_BACKEND", "torch")
REASON = "needs the trainers' own packages"
for name in ("transformers", "accelerate", "keras"):
    pytest.importorskip(name, reason=REASON)
torch = pytest.importorskip("torch", reason=REASON)

pytestmark = pytest.mark.filterwarnings("default", "error::jellyml.errors.JellyWarning")


@pytest.fixture(autouse=True)
def _in_the_repository(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write("train.py", "edited\n")


def hf(output: Path, steps: int, callback: Any, **options: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=16, n_positions=8))
    rows = [{"input_ids": torch.arange(8), "labels": torch.arange(8)}] * 8
    args = TrainingArguments(
        str(output), max_steps=steps, save_steps=1, save_total_limit=2, report_to=[],
        use_cpu=True, per_device_train_batch_size=1, disable_tqdm=True, **options,
    )  # fmt: skip
    return Trainer(model, args, train_dataset=rows, callbacks=[callback])


def test_transformers(repo: Folder, tmp_path: Path) -> None:
    from transformers import GPT2LMHeadModel

    from jellyml.integrations.transformers import JellyMLCallback

    output, callback = tmp_path / "out", JellyMLCallback()
    hf(output, 3, callback).train()
    assert {path.name for path in output.glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-3"}
    for folder in (output / "checkpoint-2", output / "checkpoint-3", output):
        carries(folder, repo)
    trainer = hf(output, 5, JellyMLCallback())
    trainer.train(resume_from_checkpoint=True)
    assert trainer.state.global_step == 5
    carries(output / "checkpoint-5", repo)
    trainer.save_model(str(tmp_path / "final"))
    for again in ("final", "final"):  # pushed, then finished: the same folder twice
        callback.fill(tmp_path / again)
    carries(tmp_path / "final", repo)
    _, info = GPT2LMHeadModel.from_pretrained(tmp_path / "final", output_loading_info=True)
    assert not info["unexpected_keys"]
    assert not info["missing_keys"]


def test_transformers_saves_once_it_is_done(repo: Folder, tmp_path: Path) -> None:
    from jellyml.integrations.transformers import JellyMLCallback

    trainer = hf(tmp_path / "out", 1, JellyMLCallback(), save_strategy="no")
    trainer.train()
    trainer.save_model()
    carries(tmp_path / "out", repo)


def test_transformers_pushes_the_code_along(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a hub that keeps what it is sent."""
    import transformers.trainer

    from jellyml.integrations.transformers import JellyMLCallback

    hub = tmp_path / "hub"

    class Hub:
        def create_repo(self, name: str, **_: Any) -> Any:
            return SimpleNamespace(repo_id=f"somebody/{name}")

        def upload_folder(self, *, folder_path: str, path_in_repo: str = ".", **_: Any) -> Any:
            ignored = shutil.ignore_patterns("checkpoint-*")
            shutil.copytree(folder_path, hub / path_in_repo, ignore=ignored, dirs_exist_ok=True)
            job: Future[None] = Future()
            job.set_result(None)
            return job

    monkeypatch.setattr(transformers.trainer, "hf_api", Hub)
    options = {"push_to_hub": True, "hub_strategy": "checkpoint", "hub_model_id": "mine"}
    trainer = hf(tmp_path / "out", 1, JellyMLCallback(), **options)
    trainer.train()
    for folder in (hub, hub / "last-checkpoint"):
        assert (folder / "model.safetensors").exists()
        assert (folder / SIDECAR).exists()
        carries(folder, repo)
    shutil.rmtree(hub)
    trainer.push_to_hub()
    carries(hub, repo)


def test_transformers_leaves_the_weights_of_an_earlier_run_alone(tmp_path: Path) -> None:
    from jellyml.integrations.transformers import JellyMLCallback

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"earlier")
    hf(tmp_path / "out", 1, JellyMLCallback()).train()
    assert not (tmp_path / "out" / "jellyml_code_snapshot.bundle").exists()


def test_a_failed_capture_does_not_stop_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jellyml.integrations.transformers import JellyMLCallback

    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")
    trainer = hf(tmp_path / "out", 1, JellyMLCallback())
    with pytest.warns(JellyWarning, match="not captured"):
        trainer.train()
    assert trainer.state.global_step == 1


def test_accelerate(repo: Folder, tmp_path: Path) -> None:
    from accelerate import Accelerator

    from jellyml.integrations.accelerate import attach

    accelerator = Accelerator(cpu=True)
    attached = attach(accelerator)
    net = torch.nn.Linear(2, 2)
    model, optimizer = accelerator.prepare(net, torch.optim.Adam(net.parameters()))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    accelerator.save_state(str(tmp_path / "state"))
    carries(tmp_path / "state", repo)
    weight = net.weight.detach().clone()
    torch.nn.init.zeros_(net.weight)
    accelerator.load_state(str(tmp_path / "state"))
    assert torch.equal(net.weight, weight)
    (tmp_path / "state" / "jellyml_code_snapshot.bundle").write_bytes(b"an earlier one")
    accelerator.save_state(str(tmp_path / "state"))
    carries(tmp_path / "state", repo)
    attached.remove()
    accelerator.save_state(str(tmp_path / "other"))
    assert not (tmp_path / "other" / "jellyml_code_snapshot.bundle").exists()


def test_dcp(repo: Folder, tmp_path: Path) -> None:
    dcp = pytest.importorskip("torch.distributed.checkpoint")

    import jellyml
    from jellyml.integrations.distributed import SnapshotWriter

    snapshot, state = jellyml.create_snapshot(), {"w": torch.arange(4.0)}
    dcp.save(state, storage_writer=SnapshotWriter(tmp_path / "dcp", snapshot), no_dist=True)
    carries(tmp_path / "dcp", repo)
    loaded = {"w": torch.zeros(4)}
    dcp.load(loaded, checkpoint_id=tmp_path / "dcp", no_dist=True)
    assert torch.equal(loaded["w"], state["w"])


@pytest.mark.parametrize("name", ["a{epoch}.keras", "b.h5"])
def test_keras(repo: Folder, tmp_path: Path, name: str) -> None:
    import keras
    import numpy as np

    from jellyml.integrations.keras import JellyMLCallback

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.MeanSquaredError())  # "mse": Keras itself cannot load its .h5
    path, x = tmp_path / name, np.ones((4, 2), "float32")
    saving = [keras.callbacks.ModelCheckpoint(path), JellyMLCallback(path)]
    model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=saving)
    last = tmp_path / name.format(epoch=2)
    carries(last, repo)
    again = keras.models.load_model(last)
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_keras_weights_alone(repo: Folder, tmp_path: Path) -> None:
    import keras
    import numpy as np

    from jellyml.integrations.keras import JellyMLCallback

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    path, x = tmp_path / "w.weights.h5", np.ones((4, 2), "float32")
    save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    model.fit(x, x[:, :1], verbose=0, callbacks=[save, JellyMLCallback(path)])
    carries(path, repo)
    again = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    again.load_weights(path)
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_large_hdf5_file_is_not_held_in_memory(repo: Folder, tmp_path: Path) -> None:
    """Nor changed through a link; and its mode stays."""
    import h5py
    import numpy as np

    from jellyml.integrations.keras import JellyMLCallback, into_hdf5

    path, size = tmp_path / "big.h5", 32 << 20
    with h5py.File(path, "w") as file:
        file["w"] = np.ones(size, "u1")
    path.chmod(0o640)
    code = JellyMLCallback(path).code
    code.take()
    tracemalloc.start()
    for _ in range(2):  # over the first one's datasets
        code.fill(path, by=into_hdf5)
    assert tracemalloc.get_traced_memory()[1] < size // 4
    tracemalloc.stop()
    carries(path, repo)
    assert path.stat().st_mode & 0o777 == 0o640
    before = path.read_bytes()
    (tmp_path / "link.h5").symlink_to(path)
    with pytest.warns(JellyWarning, match="symbolic link"):
        code.fill(tmp_path / "link.h5", by=into_hdf5)
    assert path.read_bytes() == before
