"""Sums as text: ``17+25=42`` with its digits the other way round, so that carries come first."""

import torch

CHARACTERS = "0123456789+="
LONGEST = 9
_RESULT = 6  # where it begins


def examples(count: int, seed: int) -> torch.Tensor:
    """So many sums of two numbers, a row of indices each."""
    pairs = torch.randint(100, (count, 2), generator=torch.Generator().manual_seed(seed))
    return torch.tensor([_row(one, other) for one, other in pairs.tolist()])


def loss_of(net: torch.nn.Module, texts: torch.Tensor) -> torch.Tensor:
    """Of the result alone: what stands before it cannot be guessed."""
    said = net(texts[:, :-1])[:, _RESULT - 1 :]
    return torch.nn.functional.cross_entropy(said.flatten(0, 1), texts[:, _RESULT:].flatten())


def accuracy(net: torch.nn.Module, texts: torch.Tensor) -> float:
    """The share of the sums with every digit right."""
    with torch.no_grad():
        said = net(texts[:, :-1])[:, _RESULT - 1 :].argmax(-1)
    return float((said == texts[:, _RESULT:]).all(-1).float().mean())


def _row(one: int, other: int) -> list[int]:
    result = f"{one + other:03}"[::-1]
    return [CHARACTERS.index(each) for each in f"{one:02}+{other:02}={result}"]
