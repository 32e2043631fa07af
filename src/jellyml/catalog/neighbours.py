"""Which two are worth comparing first: those that stand next to each other."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise, zip_longest

from jellyml.catalog.graph import Lineage, Member, Point

_FAR = 12  # how far apart in order are those that are compared after all neighbours

Pair = tuple[Member, Member]


def of_code(made: Lineage) -> Iterator[Pair]:
    """One checkpoint for each of two commits, the older first; each two commits once."""
    seen: set[tuple[str, str]] = set()
    for pair in _nearest(made):
        one, other = sorted(pair, key=lambda each: each.number)
        if one.commit and other.commit and one.commit != other.commit:
            names = (one.commit, other.commit)
            if names not in seen and names[::-1] not in seen:
                seen.add(names)
                yield one, other


def of_weights(made: Lineage) -> Iterator[Pair]:
    """Two checkpoints, the older first; each two once."""
    seen: set[tuple[int, int]] = set()
    for pair in _nearest(made):
        one, other = sorted(pair, key=lambda each: each.number)
        if one.number != other.number and (one.number, other.number) not in seen:
            seen.add((one.number, other.number))
            yield one, other


def _nearest(made: Lineage) -> Iterator[Pair]:
    points = made.by_code()
    kinds = (_recorded(made), _descended(points), _of_one_run(made), _beside(points))
    for pairs in zip_longest(*kinds):
        yield from filter(None, pairs)
    for far in range(1, _FAR):
        yield from zip(made.members, made.members[far:], strict=False)
    yield from combinations(made.members, 2)


def _recorded(made: Lineage) -> Iterator[Pair]:
    for member in made.members:
        for parent in member.parents:
            if parent.number is not None:
                yield made.members[parent.number], member


def _descended(points: Sequence[Point]) -> Iterator[Pair]:
    """The last checkpoint of a commit and the first and last of the next that has any."""
    for point in points:
        above = point.row.parent
        while above is not None and not points[above].members:
            above = points[above].row.parent
        if point.members and above is not None:
            yield points[above].members[-1], point.members[-1]
            yield points[above].members[-1], point.members[0]


def _of_one_run(made: Lineage) -> Iterator[Pair]:
    runs: dict[str, list[Member]] = {}
    for member in made.members:
        runs.setdefault(member.listed.run, []).append(member)
    for run in runs.values():
        yield from pairwise(run)
        yield run[0], run[-1]


def _beside(points: Sequence[Point]) -> Iterator[Pair]:
    """What was made upon the same commit, one after the other."""
    below: dict[int | None, list[Point]] = {}
    for point in points:
        if point.members:
            below.setdefault(point.row.parent, []).append(point)
    for siblings in below.values():
        for one, other in pairwise(siblings):
            yield one.members[-1], other.members[-1]
