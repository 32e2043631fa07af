"""What torch and safetensors write."""

import tarfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from case import Case, Reader


def state() -> dict[str, Any]:
    import torch

    torch.manual_seed(0)
    return dict(torch.nn.Linear(3, 2).state_dict())


def _lists(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in state.items()}


def _torch_load(**options: Any) -> Reader:
    def read(path: Path) -> object:
        import torch

        return _lists(torch.load(path, **options))

    return read


def _torch_strict(path: Path) -> object:
    import torch

    module = torch.nn.Linear(3, 2)
    return str(module.load_state_dict(torch.load(path), strict=True)), _lists(module.state_dict())


def _torch_nested(path: Path) -> object:
    import torch

    loaded = torch.load(path, weights_only=True)
    return loaded["epoch"], _lists(loaded["model"])


def _torch_save(path: Path) -> None:
    import torch

    torch.save(state(), path)


def _torch_save_nested(path: Path) -> None:
    import torch

    torch.save({"epoch": 3, "model": state(), "note": "é"}, path)


def _torch_save_legacy(path: Path) -> None:
    import torch

    torch.save(state(), path, _use_new_zipfile_serialization=False)


def _torch_save_whole(path: Path) -> None:
    import torch

    torch.save(_module(), path)


def _torch_whole(path: Path) -> object:
    import torch

    return torch.load(path, weights_only=False)(_input()).tolist()


_MODES = {
    f"torch.load(weights_only={safe}, mmap={mapped})": _torch_load(weights_only=safe, mmap=mapped)
    for safe in (True, False)
    for mapped in (True, False)
}


def _module() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())


def _input() -> Any:
    import torch

    return torch.arange(3.0).reshape(1, 3)


def _jit_save(path: Path) -> None:
    import torch

    torch.jit.save(torch.jit.trace(_module(), _input()), path)


def _jit_load(path: Path) -> object:
    import torch

    return torch.jit.load(path)(_input()).tolist()


def _export_save(path: Path) -> None:
    import torch

    torch.export.save(torch.export.export(_module(), (_input(),)), path)


def _export_load(path: Path) -> object:
    import torch

    return torch.export.load(path).module()(_input()).tolist()


def _lightning_model() -> Any:
    import torch
    from lightning import LightningModule

    class Net(LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layer = _module()

        def training_step(self, batch: Any, _: int) -> Any:
            return self.layer(batch).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

        def train_dataloader(self) -> Any:
            rows: Any = _Rows()
            return torch.utils.data.DataLoader(rows)

    return Net


class _Rows:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int) -> Any:
        return _input()[0]


def _lightning_fit(epochs: int, **options: Any) -> Any:
    from lightning import Trainer

    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    net = _lightning_model()()
    trainer.fit(net, **options)
    return trainer


def _lightning_save(path: Path) -> None:
    _lightning_fit(1).save_checkpoint(path)


def _lightning_load(path: Path) -> object:
    return _lists(_lightning_model().load_from_checkpoint(path).state_dict())


def _lightning_resume(path: Path) -> object:
    trainer = _lightning_fit(2, ckpt_path=path, weights_only=True)
    return trainer.global_step, _lists(trainer.model.state_dict())


def _bin_save(path: Path) -> None:
    import torch
    from of_folders import small_gpt

    model = small_gpt(0)
    model.config.save_pretrained(path.parent)
    torch.save(model.state_dict(), path)


def _bin_load(path: Path) -> object:
    from transformers import GPT2LMHeadModel

    model, info = GPT2LMHeadModel.from_pretrained(
        path.parent, use_safetensors=False, output_loading_info=True
    )
    return str(info), str(model.state_dict())


TORCH = (
    Case(
        "torch state_dict", "torch zip", "model.pth", "torch", _torch_save,
        _MODES | {"load_state_dict(strict=True)": _torch_strict},
        line="`torch.save({\"model\": model.state_dict(), **snapshot}, path)`",
    ),
    Case("torch checkpoint", "torch zip", "model.ckpt", "torch", _torch_save_nested,
         {"torch.load(weights_only=True)": _torch_nested}),
    Case("torch module, whole", "torch zip", "model.pt", "torch", _torch_save_whole,
         {"torch.load(weights_only=False)": _torch_whole}),
    Case("Lightning", "torch zip", "model.ckpt", "lightning", _lightning_save,
         {"load_from_checkpoint": _lightning_load, "fit(ckpt_path=...)": _lightning_resume},
         line="`Trainer(plugins=[JellyMLLightningPlugin()])`, of `jellyml_lightning`",
         needs=("torch",)),
    Case("Hugging Face pytorch_model.bin", "torch zip", "pytorch_model.bin", "transformers",
         _bin_save, {"from_pretrained": _bin_load}, needs=("torch",),
         line="`torch.save(model.state_dict(), path)`, then fill"),
    Case(
        "torch before 1.6", "torch before 1.6", "old.pth", "torch", _torch_save_legacy,
        {f"torch.load(weights_only={safe})": _torch_load(weights_only=safe)
         for safe in (True, False)},
    ),
    Case("TorchScript", "torch zip", "model.pt", "torch", _jit_save,
         {"torch.jit.load": _jit_load},
         line="`torch.jit.save(module, path)`, then fill"),
    Case("torch.export", "torch zip", "model.pt2", "torch", _export_save,
         {"torch.export.load": _export_load},
         line="`torch.export.save(program, path)`, then fill"),
)  # fmt: skip


def _safetensors_save(path: Path, **options: Any) -> None:
    from safetensors.torch import save_file

    save_file(state(), path, **options)


def _safetensors_torch(path: Path) -> object:
    from safetensors.torch import load_file

    return _lists(load_file(path))


def _safetensors_strict(path: Path) -> object:
    import torch
    from safetensors.torch import load_model

    module = torch.nn.Linear(3, 2)
    return str(load_model(module, path, strict=True)), _lists(module.state_dict())


def _safetensors_lazy(path: Path) -> object:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name)[:1].tolist() for name in file.keys()}  # noqa: SIM118


def _safetensors_numpy(path: Path) -> object:
    from safetensors.numpy import load

    return _lists(load(path.read_bytes()))


def _safetensors_flax(path: Path) -> object:
    from safetensors.flax import load_file

    return _lists(load_file(path))


_SAFETENSORS = {
    "load_file": _safetensors_torch,
    "load_model(strict=True)": _safetensors_strict,
    "safe_open, slices": _safetensors_lazy,
    "safetensors.numpy.load": _safetensors_numpy,
    "safetensors.flax.load_file": _safetensors_flax,
}

SAFETENSORS = (
    Case("safetensors", "safetensors", "model.safetensors", "safetensors",
         lambda path: _safetensors_save(path, metadata={"format": "pt", "k": "é\"\\"}),
         _SAFETENSORS,
         line="`save_file(tensors, path, metadata={\"format\": \"pt\", "
              "**snapshot.safetensors_metadata})`"),
    Case("safetensors without metadata", "safetensors", "model.safetensors", "safetensors",
         _safetensors_save, _SAFETENSORS),
)  # fmt: skip


def _dcp_file(path: Path) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save

    save(state(), checkpoint_id=path.parent / "dcp")
    path.write_bytes(next(path.parent.glob("dcp/*.distcp")).read_bytes())


def _nemo(path: Path) -> None:
    """A tar of a configuration and weights."""
    _torch_save(path.with_name("model_weights.ckpt"))
    with tarfile.open(path, "w") as archive:
        archive.add(path.with_name("model_weights.ckpt"), "./model_weights.ckpt")


def _mar(path: Path) -> None:
    from model_archiver.model_packaging import package_model
    from model_archiver.model_packaging_utils import ModelExportUtils

    _jit_save(path.with_name("model.pt"))
    args = Namespace(
        model_name=path.stem, serialized_file=str(path.with_name("model.pt")), model_file=None,
        handler="image_classifier", extra_files=None, version="1.0", export_path=str(path.parent),
        force=False, archive_format="default", requirements_file=None, runtime="python",
        config_file=None, source_vocab=None,
    )  # fmt: skip
    package_model(args, ModelExportUtils.generate_manifest_json(args))


PARTS = (
    Case("one file of a DCP folder", "scan", "__0_0.distcp", "torch", _dcp_file, {},
         refused="not one that is known"),
    Case("TorchServe archive", "scan", "served.mar", "torch-model-archiver", _mar, {},
         refused="not one that is known", needs=("torch",)),
    Case("a tar, as of NeMo", "scan", "model.nemo", "torch", _nemo, {},
         refused="not one that is known"),
)  # fmt: skip
