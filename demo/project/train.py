"""Train the network on scikit-learn's digits and save it with the code that made it."""

import sys

import torch
from net import build
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import jellyml

snapshot = jellyml.create_snapshot()

EPOCHS = 25
torch.manual_seed(7)
torch.set_num_threads(1)  # the same sums in the same order: the same weights each time
digits = load_digits()
pictures = torch.tensor(digits.images, dtype=torch.float32) / 16
seen, unseen, labels, answers = map(
    torch.as_tensor,
    train_test_split(pictures, torch.tensor(digits.target), random_state=7),
)

net = build()
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, EPOCHS + 1):
    for batch in torch.randperm(len(seen)).split(32):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(seen[batch]), labels[batch])
        loss.backward()
        optimizer.step()
    if epoch in (1, EPOCHS // 2, EPOCHS):
        print(f"epoch {epoch:2}  loss {loss.item():.4f}")

net.eval()
accuracy = (net(unseen).argmax(1) == answers).float().mean().item()
torch.save({"model": net.state_dict(), "accuracy": accuracy, **snapshot}, sys.argv[1])
print(f"accuracy {accuracy:.1%} on {len(unseen)} unseen digits, saved as {sys.argv[1]}")
