"""Train the network, from the beginning or from a checkpoint, and save it with its code."""

import argparse

import torch
from tasks import CHARACTERS, LONGEST, accuracy, examples, loss_of
from transformer import Net

import jellyml

parser = argparse.ArgumentParser()
parser.add_argument("out")
parser.add_argument("--start", help="the checkpoint to go on from")
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--epochs", type=int, default=6)
asked = parser.parse_args()

torch.manual_seed(7)
torch.set_num_threads(1)  # the same sums in the same order: the same weights each time
notes = {"lr": asked.lr, "epochs": asked.epochs}
snapshot = jellyml.create_snapshot(notes=notes | ({"parent": asked.start} if asked.start else {}))

net = Net(len(CHARACTERS), LONGEST)
if asked.start:
    net.load_state_dict(torch.load(asked.start, weights_only=True)["model"])

seen, unseen = examples(4000, seed=1), examples(1000, seed=2)
optimizer = torch.optim.AdamW(net.parameters(), lr=asked.lr)
for _ in range(asked.epochs):
    for batch in torch.randperm(len(seen)).split(100):
        optimizer.zero_grad()
        loss_of(net, seen[batch]).backward()
        optimizer.step()

right = accuracy(net, unseen)
snapshot = snapshot.with_notes({"accuracy": round(right, 3)})
torch.save({"model": net.state_dict(), **snapshot}, asked.out)
print(f"{asked.out}: {right:.1%} of {len(unseen)} unseen sums are right")
