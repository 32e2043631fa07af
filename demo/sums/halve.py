"""Save a checkpoint once more, in bfloat16."""

import sys

import torch

import jellyml

start, out = sys.argv[1:]
snapshot = jellyml.create_snapshot(notes={"parent": start})
model = torch.load(start, weights_only=True)["model"]
half = {name: array.to(torch.bfloat16) for name, array in model.items()}
torch.save({"model": half, **snapshot}, out)
print(f"{out}: {sum(array.nbytes for array in half.values()):,} bytes of weights")
