"""Strided views: the elements in order whatever the strides, and a bound on the work."""

import random

import numpy
import pytest

from jellyml.budget import Budget, Exhausted
from jellyml.tensors import strides


@pytest.mark.parametrize("tile", [64, 4 << 20])
def test_the_elements_come_in_the_order_of_their_indices(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strides, "_TILE", tile)
    monkeypatch.setattr(strides, "_TOGETHER", 2 * tile)
    for seed in range(1000):
        chance = random.Random(seed)
        axes = chance.randrange(1, 5)
        shape = [chance.randrange(1, 6) for _ in range(axes)]
        steps = [chance.choice([0, 0, 1, 1, 2, 3, 7, 30]) for _ in range(axes)]
        width = chance.choice([1, 2, 3, 4, 8])
        data = chance.randbytes(strides.extent(shape, steps) * width)
        view = numpy.ndarray(shape, f"V{width}", data, strides=[step * width for step in steps])
        pieces = strides.pieces(
            lambda at, size, data=data: data[at : at + size],  # type: ignore[misc]
            *(width, shape, steps, Budget()),
        )
        assert b"".join(pieces) == view.copy().tobytes(), (seed, shape, steps)


@pytest.mark.parametrize(
    ("shape", "steps", "most"),
    [((1 << 10,) * 3 + (2,), (1,) * 4, 0), ((1 << 20, 1 << 20), (1, 5 << 20), 200 << 20)],
    ids=["rows that overlap", "columns far apart"],
)
def test_billions_of_rows_are_given_up(
    shape: tuple[int, ...], steps: tuple[int, ...], most: int
) -> None:
    budget = Budget(seconds=None, steps=100_000)
    pieces = strides.pieces(lambda _, size: bytes(size), 1, shape, steps, budget)
    sizes: list[int] = []
    with pytest.raises(Exhausted):
        sizes.extend(map(len, pieces))
    assert sum(sizes) <= most
