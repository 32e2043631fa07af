"""Lightning, in the way that the first word says; the second one names the package."""

import sys
from importlib import import_module
from multiprocessing import util
from typing import Any

import torch
from together import PLACE, count_captures, leave_together

from jellyml.integrations.lightning import JellyMLCallback, JellyMLLightningPlugin

way, package, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
pl = import_module(package)
count_captures()


class Net(pl.LightningModule):  # type: ignore[misc,name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, count)

    def configure_model(self) -> None:
        if way == "sharded":
            from torch.distributed.fsdp import fully_shard

            fully_shard(self.layer, mesh=self.device_mesh["data_parallel"])

    def on_train_end(self) -> None:
        if way == "spawn":  # whoever ends first would abort the others
            util.Finalize(None, leave_together, exitpriority=100)

    def training_step(self, batch: Any, _: int) -> Any:
        return self.layer(batch).sum()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)

    def train_dataloader(self) -> Any:
        rows: Any = torch.ones(2 * count, 2)
        return torch.utils.data.DataLoader(rows)


def ours() -> dict[str, Any]:
    if way in ("callback", "sharded"):
        return {"callbacks": [JellyMLCallback()]}
    io = JellyMLLightningPlugin()
    if way == "async":
        io = import_module(f"{package}.plugins.io").AsyncCheckpointIO(io)
    return {"plugins": [io]}


def strategy() -> Any:
    if way == "sharded":
        of = import_module(f"{package}.strategies").ModelParallelStrategy
        sizes = {"data_parallel_size": count, "tensor_parallel_size": 1}
        return of(**sizes, process_group_backend="gloo")
    return "ddp_spawn" if way == "spawn" else "ddp"


def trainer(folder: str, epochs: int) -> Any:
    options = ours()
    saving = pl.callbacks.ModelCheckpoint(PLACE / folder, save_top_k=-1)
    options["callbacks"] = [saving, *options.get("callbacks", [])]
    return pl.Trainer(
        accelerator="cpu", devices=count, strategy=strategy(), max_epochs=epochs, logger=False,
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip


if __name__ == "__main__":
    first = trainer("first", 1)
    first.fit(Net())
    assert first.world_size == count
    if way != "spawn":
        torch.distributed.barrier()  # one saves, maybe in the background
        (saved,) = (PLACE / "first").iterdir()
        again = trainer("again", 2)
        again.fit(Net(), ckpt_path=saved, weights_only=True)
        assert again.current_epoch == 2
        leave_together()
