"""Compare two sets of arrays: find pairs and renames, then compare each pair bit by bit."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Literal

from jellyml.budget import Budget, Kept, kept
from jellyml.compare.magnitude import Amount, amount, is_comparable
from jellyml.tensors import to_numpy
from jellyml.tensors.byte_range import Unreadable
from jellyml.tensors.lazy_array import LazyArray

if TYPE_CHECKING:
    from concurrent.futures import Future

DifferenceKind = Literal[
    "added", "removed", "renamed", "reshaped", "retyped", "changed", "unreadable"
]

_ROUNDS = 8
# Names with the same ending are compared in pairs; this limits the pairs of a common ending.
_MOST_ALIKE = 64
# Bytes that one difference, and one pair of prefixes, take without their names.
_DIFFERENCE, _PAIR = 500, 250

Arrays = Mapping[str, LazyArray]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array on one side of a comparison; ``nbytes`` is the size of its elements."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One array that differs. A renamed array has an ``amount`` if it changed too."""

    kind: DifferenceKind
    before: ArrayInfo | None
    after: ArrayInfo | None
    amount: Amount | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Return its new name, or its old one if it was removed."""
        seen = self.after or self.before
        assert seen
        return seen.name


@dataclass(frozen=True, slots=True)
class Weights:
    """``differences`` in the order of the second set, then the removed; ``same`` is a count."""

    differences: tuple[Difference, ...]
    same: int
    before: int  # how many arrays there are
    after: int


# Threads: one reads while the other compares.
_TOGETHER = 2
_AHEAD = 16
_LARGE = 64 << 20  # bytes, from which preparing numpy while reading saves time

Progress = Callable[[int, int], None]
"""Called with the bytes compared so far, and their total."""


def compare(
    one: Mapping[str, LazyArray],
    other: Mapping[str, LazyArray],
    progress: Progress = lambda done, of: None,
    budget: Budget | None = None,
) -> Weights:
    """Compare all arrays. Each is read at most three times, and only if that is necessary.

    Raises Exhausted.
    """
    with kept(budget or Budget.of_library()) as results:
        return _compared(one, other, progress, results)


def _compared(
    one: Mapping[str, LazyArray],
    other: Mapping[str, LazyArray],
    progress: Progress,
    results: Kept,
) -> Weights:
    removed = {name: each for name, each in one.items() if name not in other}
    added = {name: each for name, each in other.items() if name not in one}
    old_names = {after: before for before, after in renamed(removed, added, results.budget)}
    total = sum(each.nbytes for each in other.values())
    if total > _LARGE:
        to_numpy.prepare()
    done = same = 0
    differences: list[Difference] = []
    sides = ((one.get(old_names.get(name, name)), array) for name, array in other.items())
    for array, difference in _in_order(sides):
        same += difference is None
        results.budget.step()
        if difference:
            results.add(_DIFFERENCE)
            differences.append(difference)
        done += array.nbytes
        progress(done, total)
    paired = set(old_names.values())
    results.add(_DIFFERENCE * (len(removed) - len(paired)))
    differences += (_only(each, "removed") for name, each in removed.items() if name not in paired)
    return Weights(tuple(differences), same, len(one), len(other))


def _in_order(
    sides: Iterator[tuple[LazyArray | None, LazyArray]],
) -> Iterator[tuple[LazyArray, Difference | None]]:
    """Compare two pairs at a time; yield in order, with a limited number of pairs queued."""
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
        return Difference("unreadable", _info(before), _info(after), problem=problem.problem)


def _kinds(before: LazyArray, after: LazyArray) -> Iterator[Difference]:
    pair = _info(before), _info(after)
    if before.shape != after.shape:
        yield Difference("reshaped", *pair)
    elif before.type != after.type:
        by = amount(before, after) if is_comparable(before, after) else None
        yield Difference("retyped", *pair, by if by and by.share else None)
    elif before != after:
        kind: DifferenceKind = "changed" if before.name == after.name else "renamed"
        yield Difference(kind, *pair, amount(before, after))
    elif before.name != after.name:
        yield Difference("renamed", *pair)


def _only(array: LazyArray, kind: DifferenceKind) -> Difference:
    if kind == "added":
        return Difference(kind, None, _info(array))
    return Difference(kind, _info(array), None)


def _info(array: LazyArray) -> ArrayInfo:
    return ArrayInfo(array.name, array.shape, str(array.type), array.nbytes)


def renamed(removed: Arrays, added: Arrays, budget: Budget | None = None) -> list[Pair]:
    """Return old and new names of arrays that are equal, or have the same place in the model."""
    budget = budget or Budget.of_library()
    gone, new = dict(removed), dict(added)
    pairs: list[Pair] = []
    for find in (partial(_by_prefix, budget=budget), _by_digest):
        for before, after in find(gone, new):
            pairs.append((before, after))
            del gone[before], new[after]
    return pairs


def _by_prefix(gone: Arrays, new: Arrays, budget: Budget) -> list[Pair]:
    """Pair ``a.x.weight`` with ``b.x.weight`` if most names in ``a`` are now in ``b``."""
    gone, new = dict(gone), dict(new)
    pairs: list[Pair] = []
    for _ in range(_ROUNDS):
        counted = _counted(_prefixes(gone, new), budget)
        (before, after), count = next(iter(counted.most_common(1)), (("", ""), 0))
        if count < max(2, min(len(gone), len(new)) / 2):
            break
        for name in [name for name in gone if name.startswith(before)]:
            other = after + name[len(before) :]
            if other in new:
                pairs.append((name, other))
                del gone[name], new[other]
    return pairs


def _counted(pairs: Iterator[Pair], budget: Budget) -> Counter[Pair]:
    """Return how often there is each pair. Raises Exhausted: there may be millions."""
    counted: Counter[Pair] = Counter()
    with kept(budget) as entries:
        for pair in pairs:
            size = _PAIR + len(pair[0]) + len(pair[1])
            budget.make(size)
            if pair not in counted:
                entries.add(size)
            counted[pair] += 1
    return counted


def _prefixes(gone: Arrays, new: Arrays) -> Iterator[Pair]:
    """Yield the prefixes before the longest shared ending, for names that may be a pair.

    Of each ending the first names are compared.
    """
    old_names, new_names = (_by_place(names) for names in (gone, new))
    for place, alike in old_names.items():
        for name, other in product(alike, new_names.get(place, ())):
            yield _split_shared(name, other)


def _by_place(arrays: Arrays) -> dict[tuple[object, ...], list[str]]:
    """Return the first names of each ending, shape and dtype."""
    names: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for name, array in arrays.items():
        alike = names[_place(name, array)]
        if len(alike) < _MOST_ALIKE:
            alike.append(name)
    return names


def _place(name: str, array: LazyArray) -> tuple[object, ...]:
    return (name.rpartition(".")[2], array.shape, array.type)


def _split_shared(name: str, other: str) -> Pair:
    left, right = name.split("."), other.split(".")
    shared = 0
    while shared < min(len(left), len(right)) and left[-1 - shared] == right[-1 - shared]:
        shared += 1
    return (
        "".join(f"{part}." for part in left[: len(left) - shared]),
        "".join(f"{part}." for part in right[: len(right) - shared]),
    )


def _one_kind(one: LazyArray, other: LazyArray) -> bool:
    return one.shape == other.shape and one.type == other.type


def _by_digest(gone: Arrays, new: Arrays) -> list[Pair]:
    """Pair equal arrays with different names. Reads only arrays of a shape and dtype in both."""
    kinds = {_kind(array) for array in new.values()} & {_kind(array) for array in gone.values()}
    waiting: dict[str, deque[str]] = defaultdict(deque)
    for name, array in gone.items():
        if array.size and _kind(array) in kinds and (digest := _digest(array)):
            waiting[digest].append(name)
    pairs: list[Pair] = []
    for name, array in new.items():
        if array.size and _kind(array) in kinds and (like := waiting.get(_digest(array))):
            pairs.append((like.popleft(), name))
    return pairs


def _kind(array: LazyArray) -> tuple[object, ...]:
    return array.shape, array.type


def _digest(array: LazyArray) -> str:
    """Return a digest of bytes, dtype and shape; empty if the array is unreadable."""
    try:
        return f"{array.digest} {array.dtype} {array.shape}"
    except Unreadable:
        return ""
