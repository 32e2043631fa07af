"""Lay out a tree for drawing: rows and lanes, parents above children."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """The place of a node. One that ``turns`` is a lane right of its parent, others below it.

    ``parent`` is the number of the parent's row. ``goes_on`` says that a row below is in the same
    lane. All lanes left of a row continue below it.
    """

    key: str
    lane: int
    parent: int | None
    turns: bool
    goes_on: bool


def rows(parents: Mapping[str, str | None]) -> list[Row]:
    """Return a row for each key; siblings are in the order of the mapping.

    The child with the most descendants, the last of equals, comes after its siblings and continues
    its parent's lane. The number of lanes is then at most the logarithm of the number of rows. One
    link of a cycle is dropped.
    """
    above = _without_cycles(parents)
    below: dict[str | None, list[str]] = {}
    for key, parent_key in above.items():
        below.setdefault(parent_key, []).append(key)
    weights = _weights(above, below)
    result: list[Row] = []
    stack: list[tuple[str, int, int | None, bool]] = [
        (key, 0, None, False) for key in reversed(below.get(None, []))
    ]
    while stack:
        key, lane, parent, turns = stack.pop()
        children = below.get(key, [])
        number = len(result)
        result.append(Row(key, lane, parent, turns, bool(children)))
        main = max(reversed(children), key=lambda child: weights[child], default=None)
        if main is not None:
            stack.append((main, lane, number, False))
        stack += [(each, lane + 1, number, True) for each in reversed(children) if each != main]
    return result


def _without_cycles(parents: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the mapping without cycles. Untrusted records may have them; the closing link goes."""
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
    """Return the number of nodes at or below each node."""
    weights = dict.fromkeys(above, 1)
    waiting = list(below.get(None, []))
    for key in waiting:
        waiting.extend(below.get(key, []))
    for key in reversed(waiting):
        parent = above[key]
        if parent is not None:
            weights[parent] += weights[key]
    return weights
