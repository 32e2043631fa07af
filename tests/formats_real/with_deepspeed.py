"""DeepSpeed, in a process of its own, as it changes torch: ``save`` or ``load``, and a folder."""

import os
import socket
import sys
from pathlib import Path

import torch


def main(verb: str, folder: Path, stage: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "DS_ACCELERATOR": "cpu"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    import deepspeed
    from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

    # No collective of its own: it would be compiled anew in every sealed home.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    torch.manual_seed(verb == "load")
    net = torch.nn.Linear(3, 2)
    engine, *_ = deepspeed.initialize(
        model=net,
        optimizer=torch.optim.Adam(net.parameters()),
        config={
            "train_batch_size": 1,
            "zero_optimization": {"stage": stage},
            "zero_force_ds_cpu_optimizer": False,
            "zero_allow_untested_optimizer": True,
        },
    )
    if verb == "save":
        engine.backward(engine(torch.ones(1, 3)).sum())
        engine.step()
        records = folder.with_name("records.pt")
        state = torch.load(records, weights_only=True) if records.exists() else {}
        engine.save_checkpoint(folder, client_state=state)
        return
    _, state = engine.load_checkpoint(folder)
    (folder.parent / "read").write_text(
        f"{sorted(state)} {engine.global_steps} {engine(torch.ones(1, 3)).tolist()} "
        f"{get_fp32_state_dict_from_zero_checkpoint(folder)}"
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
