"""Train low-rank additions to two matrices of each block, and save the sum of both."""

import argparse

import torch
from tasks import CHARACTERS, LONGEST, accuracy, examples, loss_of
from torch import nn
from torch.nn.utils import parametrize
from transformer import WIDTH, Net

import jellyml

RANK = 4
parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--start", required=True)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--epochs", type=int, default=2)
asked = parser.parse_args()

torch.manual_seed(7)
torch.set_num_threads(1)  # the same sums in the same order: the same weights each time
notes = {"lr": asked.lr, "epochs": asked.epochs, "rank": RANK}
snapshot = jellyml.create_snapshot(notes=notes | {"parent": asked.start})


class Added(nn.Module):
    """A matrix, and the product of two that are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, WIDTH) / WIDTH**0.5)
        self.up = nn.Parameter(torch.zeros(WIDTH, RANK))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.up @ self.down


net = Net(len(CHARACTERS), LONGEST)
net.load_state_dict(torch.load(asked.start, weights_only=True)["model"])
net.requires_grad_(False)
adapted = [part for name, part in net.named_modules() if name.endswith((".query", ".value"))]
added = [Added() for _ in adapted]
for part, addition in zip(adapted, added, strict=True):
    parametrize.register_parametrization(part, "weight", addition)

seen, unseen = examples(4000, seed=3), examples(1000, seed=2)
optimizer = torch.optim.AdamW([one for each in added for one in each.parameters()], lr=asked.lr)
for _ in range(asked.epochs):
    for batch in torch.randperm(len(seen)).split(100):
        optimizer.zero_grad()
        loss_of(net, seen[batch]).backward()
        optimizer.step()

for part in adapted:
    parametrize.remove_parametrizations(part, "weight")  # what was added stays in it
right = accuracy(net, unseen)
snapshot = snapshot.with_notes({"accuracy": round(right, 3)})
torch.save({"model": net.state_dict(), **snapshot}, asked.out)
print(f"{asked.out}: {right:.1%} of {len(unseen)} unseen sums are right")
