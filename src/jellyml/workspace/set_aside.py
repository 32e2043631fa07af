"""Set-aside files: where they are, and which of them return to a state.

Idea: a file belongs to the state in which it was set aside, and returns whole with that state.
Invariant: what has taken its path since is set aside in turn, and belongs to the state that is
left.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from jellyml.fs.paths import is_folder
from jellyml.repo.paths import at, parents
from jellyml.workspace.operation_log import Journal, Operation
from jellyml.workspace.plan import Plan, holds_more, not_folders, place_aside


@dataclass(frozen=True, slots=True)
class Aside:
    """A file or folder of the user that JellyML has set aside."""

    name: str  # its path in the working tree
    place: str  # where it is, relative to the private folder
    before: int  # the number of the state that it belongs to


def entries(private: Path) -> Iterator[Aside]:
    """Yield everything that is set aside in a worktree, in order."""
    if not (private / "aside").exists():
        return
    known: set[str] = set()
    for operation in Journal(private / "ops").operations():
        for one in of(private, operation):
            if one.place not in known:
                known.add(one.place)
                yield one


def of(private: Path, operation: Operation) -> Iterator[Aside]:
    """Yield what one operation set aside and no other has restored yet."""
    for name, place in operation.aside.items():
        if os.path.lexists(private / place):
            yield Aside(name, place, operation.before)
    if operation.status == "rolled back":  # these were in the tree before the rollback
        returns = cast("dict[str, str]", operation.facts.get("returns") or {})
        for name, place in returns.items():
            if os.path.lexists(private / place):
                yield Aside(name, place, operation.after)


def coming_back(private: Path, number: int) -> dict[str, str]:
    """Return what is restored with a state: per path its own file, or the next later one."""
    chosen: dict[str, Aside] = {}
    for one in entries(private):
        known = chosen.get(one.name)
        if one.before >= number and (known is None or one.before <= known.before):
            chosen[one.name] = one
    return {name: one.place for name, one in chosen.items()}


@dataclass(slots=True)
class _Way:
    """The paths that set-aside files return to, and what is there now."""

    root: Path
    gone: frozenset[bytes]  # files that the plan removes
    contains: Callable[[bytes], bool]  # whether the target state contains a path
    aside: dict[str, str]
    back: dict[str, str]
    number: int

    def bring(self, path: bytes, source: Path, place: str) -> None:
        """Restore one file. It stays set aside if the target state has something at its path."""
        both_are_folders = is_folder(source) and self._is_folder(path)
        is_taken = self.contains(path) and not both_are_folders
        if is_taken or any(map(self._is_file, parents(path))):
            return
        for parent in not_folders(self.root, parents(path), self.gone):
            self._set_aside(parent)
        self._bring(path, source, place)

    def _bring(self, path: bytes, source: Path, place: str) -> None:
        if is_folder(source) and self._is_folder(path):  # both are folders: merge entry by entry
            for piece in sorted(source.iterdir()):
                name = os.fsencode(piece.name)
                self._bring(path + b"/" + name, piece, f"{place}/{piece.name}")
            return
        if not self.contains(path) and path not in self.gone:
            there = at(self.root, path)
            if os.path.lexists(there) and (
                not is_folder(there) or holds_more(self.root, there, self.gone)
            ):
                self._set_aside(path)
        self.back[os.fsdecode(path)] = place

    def _is_folder(self, path: bytes) -> bool:
        return self.contains(path + b"/")

    def _is_file(self, path: bytes) -> bool:
        return self.contains(path) and not self._is_folder(path)

    def _set_aside(self, path: bytes) -> None:
        self.aside.setdefault(os.fsdecode(path), place_aside(self.number, len(self.aside)))


def returning(
    root: Path,
    private: Path,
    things: Mapping[str, str],
    plan: Plan,
    number: int,
    contains: Callable[[bytes], bool],
) -> Plan:
    """Return the plan with ``things`` restored, and what is in their places set aside.

    ``contains`` returns whether the target state contains a path, or anything below it. Such a path
    stays, and the set-aside file for it stays set aside.
    """
    way = _Way(
        root,
        frozenset(move.path for move in plan.moves if move.after is None),
        contains,
        dict(plan.effects.aside),
        {},
        number,
    )
    for name, place in sorted(things.items()):
        way.bring(os.fsencode(name), private / place, place)
    return replace(plan, effects=replace(plan.effects, aside=way.aside, returns=way.back))
