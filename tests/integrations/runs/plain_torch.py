"""torch alone: one capture for the group, and a sharded checkpoint, saved twice."""

import torch
from together import PLACE, count_captures, leave_together
from torch import distributed
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

import jellyml
from jellyml.integrations.distributed import SnapshotWriter

count_captures()
distributed.init_process_group("gloo")
world, rank = distributed.get_world_size(), distributed.get_rank()
snapshot = jellyml.create_snapshot(group=distributed.group.WORLD)
(PLACE / f"{rank}.filling").write_bytes(snapshot.filling)
mesh = init_device_mesh("cpu", (world,))
whole = torch.arange(4.0 * world)
state = {"w": distribute_tensor(whole, mesh, [Shard(0)])}
save(state, storage_writer=SnapshotWriter(PLACE / "saved", snapshot))
mine = snapshot if rank == 0 else None
saving = async_save(state, storage_writer=SnapshotWriter(PLACE / "later", mine))
saving.result()  # type: ignore[union-attr]
save(state | dict(snapshot), checkpoint_id=PLACE / "keyed")
for name in ("saved", "later", "keyed"):
    loaded = {"w": distribute_tensor(torch.zeros(4 * world), mesh, [Shard(0)])}
    load(loaded, checkpoint_id=PLACE / name)
    assert torch.equal(loaded["w"].full_tensor(), whole)
leave_together()
