"""Which array became which: where a whole part of the model was renamed, and by their bytes."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from jellyml.tensors import LazyArray
from jellyml.tensors.stretch import Unreadable

_ROUNDS = 8
# Names that end alike are looked at two by two; of an ending that many share, only some.
_MOST_ALIKE = 64

Arrays = Mapping[str, LazyArray]
Pair = tuple[str, str]


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
