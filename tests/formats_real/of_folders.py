"""Checkpoints that are folders, as their libraries write and read them."""

import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from case import numbers
from keyed import Records, as_arrays, as_tensors
from of_torch import state


@dataclass(frozen=True)
class Folder:
    """A folder as one library writes it; what ``read`` gives can be compared."""

    name: str
    libraries: tuple[str, ...]  #: the first one's version counts
    readers: tuple[str, ...]
    write: Callable[[Path], object]
    read: Callable[[Path], object]
    line: str  #: what to write when saving


def _dcp_save(path: Path) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save

    save(state(), checkpoint_id=path)


def _dcp_load(path: Path) -> object:
    import torch
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
    from torch.distributed.checkpoint.state_dict_loader import load

    empty = {name: torch.zeros_like(value) for name, value in state().items()}
    load(empty, checkpoint_id=path)
    dcp_to_torch_save(path, path.parent / "one.pth")
    one = torch.load(path.parent / "one.pth", weights_only=True)
    return [{name: value.tolist() for name, value in each.items()} for each in (empty, one)]


def _orbax_save(path: Path) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), numbers())


def _orbax_load(path: Path) -> object:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        return str(checkpointer.restore(path.absolute()))


def _orbax_manager_save(path: Path) -> None:
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(path.absolute()) as manager:
        manager.save(3, args=ocp.args.StandardSave(numbers()))


def _orbax_manager_load(path: Path) -> object:
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(path.absolute()) as manager:
        return manager.all_steps(), str(manager.restore(3, args=ocp.args.StandardRestore()))


def _tf_module() -> Any:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(numbers()["weight"])
    module.call = tf.function(lambda x: x @ module.weight, [tf.TensorSpec((1, 2), tf.float32)])
    return module


def _saved_model_save(path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(_tf_module(), str(path))


def _saved_model_load(path: Path) -> object:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    return model.call(tf.ones((1, 2))).numpy().tolist()


def _tf_save(path: Path) -> None:
    import tensorflow as tf

    tf.train.Checkpoint(module=_tf_module()).save(str(path / "ckpt"))


def _tf_load(path: Path) -> object:
    import tensorflow as tf

    module = _tf_module()
    module.weight.assign(module.weight * 0)
    latest = tf.train.latest_checkpoint(str(path))
    tf.train.Checkpoint(module=module).restore(latest).assert_existing_objects_matched()
    return module.weight.numpy().tolist()


def small_gpt(seed: int) -> Any:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    sizes = {"n_layer": 1, "n_head": 1, "n_embd": 8, "vocab_size": 16, "n_positions": 8}
    return GPT2LMHeadModel(GPT2Config(**sizes))


def _sharded_save(path: Path) -> None:
    small_gpt(0).save_pretrained(path, max_shard_size="2KB")
    assert len(list(path.glob("model-*-of-*.safetensors"))) > 1


def _sharded_load(path: Path) -> object:
    from transformers import GPT2LMHeadModel

    model, info = GPT2LMHeadModel.from_pretrained(path, output_loading_info=True)
    return str(info), {name: value.tolist() for name, value in model.state_dict().items()}


def _trained(output: Path, steps: int, seed: int) -> Any:
    import torch
    from transformers import Trainer, TrainingArguments

    row = {"input_ids": torch.arange(8), "labels": torch.arange(8)}
    args = TrainingArguments(
        str(output), max_steps=steps, save_steps=1, report_to=[], use_cpu=True,
        per_device_train_batch_size=1, disable_tqdm=True,
    )  # fmt: skip
    return Trainer(small_gpt(seed), args, train_dataset=[row] * 8)


def _trainer_save(path: Path) -> None:
    trainer = _trained(path.parent / "out", 1, seed=0)
    trainer.train()
    (path.parent / "out" / "checkpoint-1").rename(path)


def _trainer_load(path: Path) -> object:
    trainer = _trained(path.parent / "again", 2, seed=1)
    trainer.train(resume_from_checkpoint=str(path))
    weights = trainer.model.state_dict()
    return trainer.state.global_step, {name: value.tolist() for name, value in weights.items()}


def _accelerated() -> tuple[Any, Any]:
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    net = torch.nn.Linear(3, 2)
    return accelerator, accelerator.prepare(net, torch.optim.Adam(net.parameters()))[0]


def _accelerate_save(path: Path) -> None:
    _accelerated()[0].save_state(str(path))


def _accelerate_load(path: Path) -> object:
    accelerator, net = _accelerated()
    accelerator.load_state(str(path))
    return {name: value.tolist() for name, value in net.state_dict().items()}


def _deepspeed(verb: str, path: Path, stage: int) -> None:
    script = Path(__file__).with_name("with_deepspeed.py")
    subprocess.run(
        [sys.executable, "-W", "ignore", script, verb, path, str(stage)],
        check=True, capture_output=True,
    )  # fmt: skip


def _deepspeed_saved(stage: int) -> Callable[[Path], None]:
    return lambda path: _deepspeed("save", path, stage)


def _deepspeed_read(stage: int) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        _deepspeed("load", path, stage)
        return (path.parent / "read").read_text()

    return read


def _megatron_save(path: Path) -> None:
    """As its checkpointing lays it out; Megatron-LM itself wants a GPU."""
    import torch

    for rank in range(2):
        place = path / "iter_0000010" / f"mp_rank_{rank:02}"
        place.mkdir(parents=True)
        whole = {"args": Namespace(lr=0.1), "iteration": 10, "model": state(), "optimizer": {}}
        torch.save(whole, place / "model_optim_rng.pt")
    (path / "latest_checkpointed_iteration.txt").write_text("10")


def _megatron_load(path: Path) -> object:
    import torch

    latest = int((path / "latest_checkpointed_iteration.txt").read_text())
    places = sorted((path / f"iter_{latest:07}").glob("mp_rank_*/model_optim_rng.pt"))
    return [str(torch.load(place, weights_only=False)) for place in places]


def _peft_save(path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    get_peft_model(small_gpt(0), LoraConfig(target_modules=["c_attn"], r=2)).save_pretrained(path)
    assert (path / "adapter_model.safetensors").exists()


def _peft_load(path: Path) -> object:
    from peft import PeftModel, get_peft_model_state_dict

    model = PeftModel.from_pretrained(small_gpt(0), path)
    return str(model.peft_config), str(get_peft_model_state_dict(model))


def _diffusers_save(path: Path) -> None:
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)}
    unet = UNet2DModel(
        sample_size=8, block_out_channels=(8,), layers_per_block=1, norm_num_groups=4, **blocks
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(path)
    assert (path / "model_index.json").exists()


def _diffusers_load(path: Path) -> object:
    from diffusers import DDPMPipeline

    pipeline = DDPMPipeline.from_pretrained(path)
    return str(pipeline.config), str(pipeline.unet.state_dict())


FOLDERS = (
    Folder("torch.distributed.checkpoint", ("torch",), ("load", "dcp_to_torch_save"), _dcp_save,
           _dcp_load,
           "`dcp.save(state, storage_writer=SnapshotWriter(folder, snapshot))`, of "
           "`jellyml.integrations.distributed`"),
    Folder("Hugging Face, sharded", ("transformers", "safetensors"), ("from_pretrained",),
           _sharded_save, _sharded_load,
           "`model.save_pretrained(folder)`, then fill the folder"),
    Folder("Hugging Face Trainer", ("transformers", "accelerate"),
           ("train(resume_from_checkpoint=...)",), _trainer_save, _trainer_load,
           "`Trainer(..., callbacks=[JellyMLCallback()])`, of `jellyml.integrations.transformers`"),
    Folder("accelerate", ("accelerate", "torch"), ("load_state",), _accelerate_save,
           _accelerate_load,
           "`attach(accelerator)`, of `jellyml.integrations.accelerate`"),
    Folder("Orbax", ("orbax-checkpoint",), ("StandardCheckpointer",), _orbax_save, _orbax_load,
           "`checkpointer.save(folder, tree)`, wait for it, then fill the folder"),
    Folder("Orbax, many steps", ("orbax-checkpoint",), ("CheckpointManager",),
           _orbax_manager_save, _orbax_manager_load,
           "`manager.save(step, ...)`, wait for it, then fill the manager's folder"),
    Folder("TensorFlow SavedModel", ("tensorflow",), ("saved_model.load",), _saved_model_save,
           _saved_model_load, "`tf.saved_model.save(module, folder)`, then fill the folder"),
    Folder("TensorFlow checkpoint", ("tensorflow",), ("Checkpoint.restore",), _tf_save, _tf_load,
           "`checkpoint.save(prefix)`, then fill the folder"),
    Folder("DeepSpeed", ("deepspeed", "torch"), ("load_checkpoint", "zero_to_fp32"),
           _deepspeed_saved(1), _deepspeed_read(1),
           "`engine.save_checkpoint(folder, client_state=dict(snapshot))`"),
    Folder("DeepSpeed, ZeRO 3", ("deepspeed", "torch"), ("load_checkpoint", "zero_to_fp32"),
           _deepspeed_saved(3), _deepspeed_read(3), ""),
    Folder("PEFT adapter", ("peft", "transformers"), ("PeftModel.from_pretrained",), _peft_save,
           _peft_load, "`model.save_pretrained(folder)`, then fill the folder"),
    Folder("diffusers pipeline", ("diffusers", "torch"), ("from_pretrained",), _diffusers_save,
           _diffusers_load, "`pipeline.save_pretrained(folder)`, then fill the folder"),
    Folder("files laid out as Megatron-LM does", ("torch",), ("torch.load",), _megatron_save,
           _megatron_load, ""),
)  # fmt: skip


# Saved under the keys by the user's own program, and no sidecar.


def _dcp_keyed(path: Path, records: Records) -> None:
    from torch.distributed.checkpoint.state_dict_saver import save

    save(as_tensors(records), checkpoint_id=path)


def _sharded_keyed(path: Path, records: Records) -> None:
    model = small_gpt(0)
    state_dict = {**model.state_dict(), **as_tensors(records)}
    model.save_pretrained(path, state_dict=state_dict, max_shard_size="2KB")


class _Carried:
    def __init__(self, records: Records) -> None:
        self.records = records

    def state_dict(self) -> object:
        return as_tensors(self.records)

    def load_state_dict(self, state: object) -> None: ...


def _accelerate_keyed(path: Path, records: Records) -> None:
    accelerator = _accelerated()[0]
    accelerator.register_for_checkpointing(_Carried(records))
    accelerator.save_state(str(path))


def _tf_keyed(path: Path, records: Records) -> None:
    import tensorflow as tf

    carried = {key: tf.Variable(array) for key, array in as_arrays(records).items()}
    tf.train.Checkpoint(module=_tf_module(), **carried).save(str(path / "ckpt"))


def _deepspeed_keyed(path: Path, records: Records) -> None:
    import torch

    torch.save(as_tensors(records), path.with_name("records.pt"))
    _deepspeed("save", path, 1)


KEYED = {
    "dcp.save": (("torch",), _dcp_keyed),
    "save_pretrained(state_dict=...)": (("transformers", "safetensors"), _sharded_keyed),
    "accelerate, register_for_checkpointing": (("accelerate", "torch"), _accelerate_keyed),
    "tf.train.Checkpoint": (("tensorflow",), _tf_keyed),
    "DeepSpeed, client_state": (("deepspeed", "torch"), _deepspeed_keyed),
}
