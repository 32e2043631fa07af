"""Rows and lanes: where each thing of a tree stands when it is drawn, parents above children."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One that ``turns`` off stands a lane right of its parent's, any other below it in the same.

    ``parent`` is the number of the parent's row; ``goes_on`` says that something stands below in
    the same lane. All lanes left of a row go on below it.
    """

    key: str
    lane: int
    parent: int | None
    turns: bool
    goes_on: bool


def rows(parents: Mapping[str, str | None]) -> list[Row]:
    """A row for each key; those that stand side by side come in the order of the mapping.

    The child with the most below it, or the last such, goes on in its parent's lane, after all
    others: so there are never more lanes than the logarithm of the rows. Of a circle one link is
    passed over.
    """
    above = _without_circles(parents)
    below: dict[str | None, list[str]] = {}
    for key, parent_key in above.items():
        below.setdefault(parent_key, []).append(key)
    weights = _weights(above, below)
    made: list[Row] = []
    waiting: list[tuple[str, int, int | None, bool]] = [
        (key, 0, None, False) for key in reversed(below.get(None, []))
    ]
    while waiting:
        key, lane, parent, turns = waiting.pop()
        children = below.get(key, [])
        number = len(made)
        made.append(Row(key, lane, parent, turns, bool(children)))
        main = max(reversed(children), key=lambda child: weights[child], default=None)
        if main is not None:
            waiting.append((main, lane, number, False))
        waiting += [(each, lane + 1, number, True) for each in reversed(children) if each != main]
    return made


def _without_circles(parents: Mapping[str, str | None]) -> dict[str, str | None]:
    """Records may say anything: whoever closes a circle has no parent."""
    above: dict[str, str | None] = {}
    sound: set[str | None] = {None}
    for start in parents:
        path: dict[str, None] = {}
        key: str | None = start
        while key is not None and key not in sound:
            path[key] = None
            parent = parents[key]
            above[key] = parent if parent in parents and parent not in path else None
            key = above[key]
        sound.update(path)
    return {key: above[key] for key in parents}


def _weights(
    above: Mapping[str, str | None], below: Mapping[str | None, Sequence[str]]
) -> dict[str, int]:
    """How many stand at or below each."""
    weights = dict.fromkeys(above, 1)
    waiting = list(below.get(None, []))
    for key in waiting:
        waiting.extend(below.get(key, []))
    for key in reversed(waiting):
        parent = above[key]
        if parent is not None:
            weights[parent] += weights[key]
    return weights
