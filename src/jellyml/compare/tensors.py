"""The difference of two sets of arrays: pairs, renames, then each pair exactly and by how much."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jellyml.compare.magnitude import Amount, amount, can_tell
from jellyml.tensors import to_numpy
from jellyml.tensors.byte_range import Unreadable
from jellyml.tensors.lazy_array import LazyArray

if TYPE_CHECKING:
    from concurrent.futures import Future

DifferenceKind = Literal[
    "added", "removed", "renamed", "reshaped", "retyped", "changed", "unreadable"
]

_ROUNDS = 8
# Names that end alike are looked at two by two; of an ending that many share, only some.
_MOST_ALIKE = 64

Arrays = Mapping[str, LazyArray]
Pair = tuple[str, str]


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

    kind: DifferenceKind
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
    moved = {after: before for before, after in renamed(removed, added)}
    total = sum(each.nbytes for each in other.values())
    if total > _LARGE:
        to_numpy.prepare()
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
        kind: DifferenceKind = "changed" if before.name == after.name else "renamed"
        yield Difference(kind, *seen, amount(before, after))
    elif before.name != after.name:
        yield Difference("renamed", *seen)


def _only(array: LazyArray, kind: DifferenceKind) -> Difference:
    if kind == "added":
        return Difference(kind, None, _seen(array))
    return Difference(kind, _seen(array), None)


def _seen(array: LazyArray) -> Seen:
    return Seen(array.name, array.shape, str(array.type), array.nbytes)


def renamed(removed: Arrays, added: Arrays) -> list[Pair]:
    """Old and new names of what is the same array, or stands in the same place of the model."""
    gone, new = dict(removed), dict(added)
    pairs: list[Pair] = []
    for find in (_moved, _alike):
        for before, after in find(gone, new):
            pairs.append((before, after))
            del gone[before], new[after]
    return pairs


def _moved(gone: Arrays, new: Arrays) -> list[Pair]:
    """``a.x.weight`` is ``b.x.weight`` where most that began with ``a`` now begin with ``b``."""
    gone, new = dict(gone), dict(new)
    pairs: list[Pair] = []
    for _ in range(_ROUNDS):
        counted = Counter(_prefixes(gone, new))
        (before, after), count = next(iter(counted.most_common(1)), (("", ""), 0))
        if count < max(2, min(len(gone), len(new)) / 2):
            break
        for name in [name for name in gone if name.startswith(before)]:
            other = after + name[len(before) :]
            if other in new:
                pairs.append((name, other))
                del gone[name], new[other]
    return pairs


def _prefixes(gone: Arrays, new: Arrays) -> Iterator[Pair]:
    """What stands before the longest ending that two names share, for all that could be one."""
    ending: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for name, array in new.items():
        ending[_place(name, array)].append(name)
    for name, array in gone.items():
        for other in ending.get(_place(name, array), ())[:_MOST_ALIKE]:
            yield _apart(name, other)


def _place(name: str, array: LazyArray) -> tuple[object, ...]:
    return (name.rpartition(".")[2], array.shape, array.type)


def _apart(name: str, other: str) -> Pair:
    mine, theirs = name.split("."), other.split(".")
    shared = 0
    while shared < min(len(mine), len(theirs)) and mine[-1 - shared] == theirs[-1 - shared]:
        shared += 1
    return (
        "".join(f"{part}." for part in mine[: len(mine) - shared]),
        "".join(f"{part}." for part in theirs[: len(theirs) - shared]),
    )


def _one_kind(one: LazyArray, other: LazyArray) -> bool:
    return one.shape == other.shape and one.type == other.type


def _alike(gone: Arrays, new: Arrays) -> list[Pair]:
    """The same bytes under another name; only those are read that could have a like."""
    kinds = {_kind(array) for array in new.values()} & {_kind(array) for array in gone.values()}
    waiting: dict[str, list[str]] = defaultdict(list)
    for name, array in gone.items():
        if array.size and _kind(array) in kinds and (digest := _digest(array)):
            waiting[digest].append(name)
    pairs: list[Pair] = []
    for name, array in new.items():
        if array.size and _kind(array) in kinds and (like := waiting.get(_digest(array))):
            pairs.append((like.pop(0), name))
    return pairs


def _kind(array: LazyArray) -> tuple[object, ...]:
    return array.shape, array.type


def _digest(array: LazyArray) -> str:
    """With the kind, since the bytes of two types can be the same; empty where it cannot be had."""
    try:
        return f"{array.digest} {array.dtype} {array.shape}"
    except Unreadable:
        return ""
