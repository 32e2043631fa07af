"""The difference of two sets of arrays: exact, then by how much."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from jellyml.compare import pairs
from jellyml.compare.amount import Amount, amount, can_tell
from jellyml.tensors import LazyArray, as_numpy
from jellyml.tensors.stretch import Unreadable

Kind = Literal["added", "removed", "renamed", "reshaped", "retyped", "changed", "unreadable"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an array is on one side. ``nbytes``: what its elements take."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One array that is not the same. A renamed one that changed too has an ``amount``."""

    kind: Kind
    before: Seen | None
    after: Seen | None
    amount: Amount | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """What it is called now, or was."""
        seen = self.after or self.before
        assert seen
        return seen.name


@dataclass(frozen=True, slots=True)
class Weights:
    """``differences`` in the order of the second, then what is gone. ``same``: how many are."""

    differences: tuple[Difference, ...]
    same: int
    before: int  # how many arrays there are
    after: int


# Reading lets another thread compare.
_TOGETHER = 2
_AHEAD = 16
_LARGE = 64 << 20  # bytes; it is worth while to get ready while reading

Progress = Callable[[int, int], None]
"""Bytes that are compared, and of how many."""


def compared(
    one: Mapping[str, LazyArray],
    other: Mapping[str, LazyArray],
    progress: Progress = lambda done, of: None,
) -> Weights:
    """Every array of both, each read at most three times, and none that need not be."""
    removed = {name: each for name, each in one.items() if name not in other}
    added = {name: each for name, each in other.items() if name not in one}
    moved = {after: before for before, after in pairs.renamed(removed, added)}
    total = sum(each.nbytes for each in other.values())
    if total > _LARGE:
        as_numpy.prepare()
    done = same = 0
    found: list[Difference] = []
    sides = ((one.get(moved.get(name, name)), array) for name, array in other.items())
    for array, difference in _in_turn(sides):
        same += difference is None
        if difference:
            found.append(difference)
        done += array.nbytes
        progress(done, total)
    gone = set(moved.values())
    found += (_only(each, "removed") for name, each in removed.items() if name not in gone)
    return Weights(tuple(found), same, len(one), len(other))


def _in_turn(
    sides: Iterator[tuple[LazyArray | None, LazyArray]],
) -> Iterator[tuple[LazyArray, Difference | None]]:
    """Two at a time, and in their order; not all are asked for before the first has come."""
    waiting: deque[tuple[LazyArray, Future[Difference | None]]] = deque()
    pool = ThreadPoolExecutor(_TOGETHER)
    try:
        for before, after in sides:
            waiting.append((after, pool.submit(_difference, before, after)))
            if len(waiting) > _AHEAD:
                array, future = waiting.popleft()
                yield array, future.result()
        for array, future in waiting:
            yield array, future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _difference(before: LazyArray | None, after: LazyArray) -> Difference | None:
    if before is None:
        return _only(after, "added")
    try:
        return next(_kinds(before, after), None)
    except Unreadable as problem:
        return Difference("unreadable", _seen(before), _seen(after), problem=problem.problem)


def _kinds(before: LazyArray, after: LazyArray) -> Iterator[Difference]:
    seen = _seen(before), _seen(after)
    if before.shape != after.shape:
        yield Difference("reshaped", *seen)
    elif before.type != after.type:
        by = amount(before, after) if can_tell(before, after) else None
        yield Difference("retyped", *seen, by if by and by.share else None)
    elif before != after:
        kind: Kind = "changed" if before.name == after.name else "renamed"
        yield Difference(kind, *seen, amount(before, after))
    elif before.name != after.name:
        yield Difference("renamed", *seen)


def _only(array: LazyArray, kind: Kind) -> Difference:
    if kind == "added":
        return Difference(kind, None, _seen(array))
    return Difference(kind, _seen(array), None)


def _seen(array: LazyArray) -> Seen:
    return Seen(array.name, array.shape, str(array.type), array.nbytes)
