"""transformers' Trainer, which saves on one process."""

import torch
from together import PLACE, count_captures, leave_together
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from jellyml.integrations.transformers import JellyMLCallback

count_captures()
sizes = {"n_layer": 1, "n_head": 1, "n_embd": 8, "vocab_size": 16, "n_positions": 8}
rows = [{"input_ids": torch.arange(8), "labels": torch.arange(8)}] * 8
for steps in (1, 2):
    args = TrainingArguments(
        str(PLACE / "out"), max_steps=steps, save_steps=1, report_to=[], use_cpu=True,
        per_device_train_batch_size=1, disable_tqdm=True, ddp_backend="gloo",
    )  # fmt: skip
    trainer = Trainer(
        GPT2LMHeadModel(GPT2Config(**sizes)), args, train_dataset=rows,
        callbacks=[JellyMLCallback()],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=steps > 1)
    assert trainer.state.global_step == steps
leave_together()
