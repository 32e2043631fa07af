"""Real Lightning runs, tiny: every checkpoint carries the code, and loads as before."""

import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from carried import carries

from at_the_keyboard import ROOT
from conftest import Folder
from jellyml.capture.capture import capture
from jellyml.errors import JellyWarning
from jellyml.formats.record import KEY, MANIFEST_KEY

torch = pytest.importorskip("torch", reason="needs torch")

pytestmark = pytest.mark.filterwarnings("default", "error::jellyml.errors.JellyWarning")


@pytest.fixture(autouse=True)
def _in_the_repository(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.path)
    repo.write("train.py", "edited\n")


@pytest.fixture(params=["lightning.pytorch", "pytorch_lightning"])
def pl(request: pytest.FixtureRequest) -> Any:
    return pytest.importorskip(request.param, reason=f"needs {request.param}")


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    taken: list[object] = []

    def counted(*args: Any) -> Any:
        taken.append(args)
        return capture(*args)

    monkeypatch.setattr("jellyml.capture.create.capture", counted)
    return taken


def model(pl: Any) -> Any:
    class Net(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.layer(batch).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(torch.ones(4, 2))

    return Net()


def trainer(pl: Any, folder: Path, epochs: int = 1, **options: Any) -> Any:
    saving = pl.callbacks.ModelCheckpoint(
        folder, save_top_k=-1, save_weights_only=options.pop("weights", False)
    )
    return pl.Trainer(
        default_root_dir=folder, max_epochs=epochs, accelerator="cpu", devices=1, logger=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[saving, *options.pop("callbacks", [])], **options,
    )  # fmt: skip


def plugin(**options: Any) -> Any:
    from jellyml.integrations.lightning import JellyMLLightningPlugin

    return JellyMLLightningPlugin(**options)


def callback() -> Any:
    from jellyml.integrations.lightning import JellyMLCallback

    return JellyMLCallback()


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.ckpt")
    return path


@pytest.mark.parametrize("weights", [False, True])
def test_a_run_saves_resumes_and_loads(
    pl: Any, repo: Folder, tmp_path: Path, captures: list[object], weights: bool
) -> None:
    net, first = model(pl), plugin()
    repo.write("train.py", "edited while it trains\n")
    trainer(pl, tmp_path / "a", plugins=[first], weights=weights).fit(net)
    assert len(captures) == 1
    repo.write("train.py", "edited\n")
    saved = only(tmp_path / "a")
    carries(saved, repo)
    assert {KEY, MANIFEST_KEY} <= torch.load(saved, weights_only=True).keys()
    again = type(net).load_from_checkpoint(saved)
    assert torch.equal(again.layer.weight, net.layer.weight)
    if not weights:
        resumed = trainer(pl, tmp_path / "b", 2, plugins=[plugin()])
        resumed.fit(model(pl), ckpt_path=saved)
        assert resumed.current_epoch == 2
        carries(only(tmp_path / "b"), repo)
        assert len(captures) == 2


def test_the_callback(pl: Any, repo: Folder, tmp_path: Path, captures: list[object]) -> None:
    trainer(pl, tmp_path / "a", callbacks=[pickle.loads(pickle.dumps(callback()))]).fit(model(pl))
    assert len(captures) == 1
    carries(only(tmp_path / "a"), repo)


@pytest.mark.parametrize("outside", [False, True])
def test_around_and_inside_another_io(pl: Any, repo: Folder, tmp_path: Path, outside: bool) -> None:
    background = import_module(f"{pl.__name__}.plugins.io").AsyncCheckpointIO
    io = plugin(checkpoint_io=background()) if outside else background(plugin())
    trainer(pl, tmp_path / "a", plugins=[io]).fit(model(pl))
    carries(only(tmp_path / "a"), repo)


def test_what_is_there_already_and_what_is_no_checkpoint_stay(pl: Any, tmp_path: Path) -> None:
    given, state = torch.ones(1), {"layer.weight": torch.ones(1)}
    io = plugin()
    io.save_checkpoint({"pytorch-lightning_version": "2", KEY: given}, tmp_path / "a.ckpt")
    assert torch.equal(torch.load(tmp_path / "a.ckpt")[KEY], given)
    io.save_checkpoint(state, tmp_path / "b.ckpt")
    assert torch.load(tmp_path / "b.ckpt").keys() == state.keys()
    io.remove_checkpoint(tmp_path / "b.ckpt")
    assert not (tmp_path / "b.ckpt").exists()


def test_a_plugin_crosses_to_a_spawned_process(pl: Any, captures: list[object]) -> None:
    first = plugin()
    again = pickle.loads(pickle.dumps(first))
    assert again.code.snapshot.filling == first.code.snapshot.filling
    assert len(captures) == 1


def test_a_rank_that_saves_nothing_captures_nothing(
    pl: Any, captures: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = import_module(f"{pl.__name__}.utilities.rank_zero").rank_zero_only
    monkeypatch.setattr(zero, "rank", 1)
    plugin()
    assert not captures


def test_a_failed_capture_does_not_stop_training(
    pl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")
    with pytest.warns(JellyWarning, match="not captured"):
        io = plugin()
    trainer(pl, tmp_path / "a", plugins=[io]).fit(model(pl))
    assert MANIFEST_KEY in torch.load(only(tmp_path / "a"))


def test_the_name_of_1_0(monkeypatch: pytest.MonkeyPatch) -> None:
    from jellyml.integrations.lightning import JellyMLLightningPlugin

    monkeypatch.syspath_prepend(ROOT / "packages" / "jellyml-lightning" / "src")
    package = import_module("jellyml_lightning")
    assert package.JellyMLLightningPlugin is JellyMLLightningPlugin


@pytest.mark.parametrize(
    "names", [("lightning", "pytorch_lightning"), ("pytorch_lightning", "lightning")]
)
def test_the_other_package_may_be_imported_later(names: tuple[str, str]) -> None:
    """What helps to train may import one of them, and the user's own program the other."""
    for name in names:
        pytest.importorskip(name, reason=f"needs {name}")
    one, other = names
    code = f"""
import {one}
from jellyml.integrations.lightning import JellyMLLightningPlugin
plugin = JellyMLLightningPlugin()
from {other} import Trainer
trainer = Trainer(plugins=[plugin], accelerator="cpu", logger=False)
assert trainer.strategy.checkpoint_io is plugin
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert not done.returncode, done.stderr.decode()
