"""Choose which pairs of checkpoints to compare first: neighbours in the tree."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise, zip_longest

from jellyml.catalog.graph import Lineage, Member, Point

_FAR = 12  # distance in order of the pairs that follow after all neighbours

Pair = tuple[Member, Member]


def of_code(tree: Lineage) -> Iterator[Pair]:
    """Yield each pair of commits once, as a checkpoint of each, the older first."""
    seen: set[tuple[str, str]] = set()
    for pair in _nearest(tree):
        one, other = sorted(pair, key=lambda each: each.number)
        if one.commit and other.commit and one.commit != other.commit:
            names = (one.commit, other.commit)
            if names not in seen and names[::-1] not in seen:
                seen.add(names)
                yield one, other


def of_weights(tree: Lineage) -> Iterator[Pair]:
    """Yield each pair of checkpoints once, the older first."""
    seen: set[tuple[int, int]] = set()
    for pair in _nearest(tree):
        one, other = sorted(pair, key=lambda each: each.number)
        if one.number != other.number and (one.number, other.number) not in seen:
            seen.add((one.number, other.number))
            yield one, other


def _nearest(tree: Lineage) -> Iterator[Pair]:
    points = tree.by_code()
    kinds = (_recorded(tree), _descended(points), _of_one_run(tree), _siblings(points))
    for pairs in zip_longest(*kinds):
        yield from filter(None, pairs)
    for far in range(1, _FAR):
        yield from zip(tree.members, tree.members[far:], strict=False)
    yield from combinations(tree.members, 2)


def _recorded(tree: Lineage) -> Iterator[Pair]:
    for member in tree.members:
        for parent in member.parents:
            if parent.number is not None:
                yield tree.members[parent.number], member


def _descended(points: Sequence[Point]) -> Iterator[Pair]:
    """Yield the last checkpoint of a commit with the last and first of the next commit."""
    for point in points:
        above = point.row.parent
        while above is not None and not points[above].members:
            above = points[above].row.parent
        if point.members and above is not None:
            yield points[above].members[-1], point.members[-1]
            yield points[above].members[-1], point.members[0]


def _of_one_run(tree: Lineage) -> Iterator[Pair]:
    runs: dict[str, list[Member]] = {}
    for member in tree.members:
        runs.setdefault(member.entry.run, []).append(member)
    for run in runs.values():
        yield from pairwise(run)
        yield run[0], run[-1]


def _siblings(points: Sequence[Point]) -> Iterator[Pair]:
    """Yield successive checkpoints that are based on the same commit."""
    below: dict[int | None, list[Point]] = {}
    for point in points:
        if point.members:
            below.setdefault(point.row.parent, []).append(point)
    for siblings in below.values():
        for one, other in pairwise(siblings):
            yield one.members[-1], other.members[-1]
