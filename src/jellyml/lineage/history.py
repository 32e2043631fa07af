"""The history of commits, cut down to what is asked for: marked ones, and where lines part."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from jellyml.lineage.commits import Commit

_MOST_OTHERS = 8


@dataclass(frozen=True, slots=True)
class Node:
    """``parent`` is the nearest that is kept, by first parents, ``between`` how many commits lie
    between the two; ``others`` are what it descends from besides, by merges.
    """

    parent: str | None
    between: int = 0
    others: tuple[str, ...] = ()


def reduced(known: Mapping[str, Commit], marked: Collection[str]) -> dict[str, Node]:
    """The marked commits and those at which their lines of first parents part, linked."""
    kept = {*marked, *_forks(known, marked)}
    up = {key: _up(known, key, kept) for key in kept}
    nearest = _Nearest(known, kept)
    nodes = {}
    for key, (parent, between) in up.items():
        others = nearest.above(key) - {parent}
        if others:
            others -= set(_line(up, key))
        nodes[key] = Node(parent, between, tuple(sorted(others)[:_MOST_OTHERS]))
    return nodes


def _first(known: Mapping[str, Commit], key: str) -> str | None:
    commit = known.get(key)
    return commit.parents[0] if commit and commit.parents else None


def _forks(known: Mapping[str, Commit], marked: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    for start in marked:
        key: str | None = start
        while key is not None and key in known and key not in seen:
            seen.add(key)
            key = _first(known, key)
        if key in seen and key != start:
            assert key is not None
            yield key


def _up(known: Mapping[str, Commit], start: str, kept: set[str]) -> tuple[str | None, int]:
    between = 0
    key = _first(known, start)
    while key is not None and key not in kept:
        between += 1
        key = _first(known, key)
    return key, between if key else 0


def _line(up: Mapping[str, tuple[str | None, int]], start: str) -> Iterator[str]:
    """A node and all that it descends from by first parents."""
    seen: set[str] = set()
    key: str | None = start
    while key is not None and key not in seen:
        seen.add(key)
        yield key
        key = up[key][0]


class _Nearest:
    """The nearest kept commits above one, through every parent."""

    def __init__(self, known: Mapping[str, Commit], kept: set[str]) -> None:
        self._known = known
        self._kept = kept
        self._found: dict[str, frozenset[str]] = {}

    def above(self, key: str) -> frozenset[str]:
        waiting = [key]
        began: set[str] = set()
        while waiting:
            one = waiting[-1]
            missing = [] if one in began else [p for p in self._passed(one) if p not in self._found]
            began.add(one)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if one not in self._found:
                self._found[one] = self._joined(one)
        return self._found[key]

    def _parents(self, key: str) -> tuple[str, ...]:
        commit = self._known.get(key)
        return commit.parents if commit else ()

    def _passed(self, key: str) -> list[str]:
        """Parents beyond which the nearest is to be looked for."""
        return [each for each in self._parents(key) if each not in self._kept]

    def _joined(self, key: str) -> frozenset[str]:
        sets = [
            frozenset([each]) if each in self._kept else self._found.get(each, frozenset())
            for each in self._parents(key)
        ]
        if len(sets) == 1:
            return sets[0]
        return frozenset().union(*sets)
