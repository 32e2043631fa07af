"""What was set aside: where it lies, which of it comes back to a state, and into which places.

A thing belongs to the state that it lay in. Whoever goes there gets it back whole; what has
taken its place since is set aside in turn, and belongs to the state that is left.
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
    """A thing of the user's that lies with us."""

    name: str  # its path in the working tree
    place: str  # where it lies, from the private folder
    before: int  # the state that it lay in


def lying(private: Path) -> Iterator[Aside]:
    """All that is set aside in one worktree, in the order in which it was."""
    if not (private / "aside").exists():
        return
    known: set[str] = set()
    for operation in Journal(private / "ops").operations():
        for one in of(private, operation):
            if one.place not in known:
                known.add(one.place)
                yield one


def of(private: Path, operation: Operation) -> Iterator[Aside]:
    """What one operation set aside and nothing has brought back yet."""
    for name, place in operation.aside.items():
        if os.path.lexists(private / place):
            yield Aside(name, place, operation.before)
    if operation.status == "rolled back":  # these were in the tree when it was found
        returns = cast("dict[str, str]", operation.facts.get("returns") or {})
        for name, place in returns.items():
            if os.path.lexists(private / place):
                yield Aside(name, place, operation.after)


def coming_back(private: Path, number: int) -> dict[str, str]:
    """What comes back to a state: of each path what lay there then, or next after it."""
    chosen: dict[str, Aside] = {}
    for one in lying(private):
        known = chosen.get(one.name)
        if one.before >= number and (known is None or one.before <= known.before):
            chosen[one.name] = one
    return {name: one.place for name, one in chosen.items()}


@dataclass(slots=True)
class _Way:
    """The places that things come back to, and what lies in them."""

    root: Path
    gone: frozenset[bytes]  # files that will be gone by then
    held: Callable[[bytes], bool]  # whether the state that is gone to has something there
    aside: dict[str, str]
    back: dict[str, str]
    number: int

    def bring(self, path: bytes, lying: Path, place: str) -> None:
        """One thing; it waits for a state of its own where this one has something there."""
        folder_of_both = is_folder(lying) and self._holds_folder(path)
        if (self.held(path) and not folder_of_both) or any(map(self._holds_file, parents(path))):
            return
        for parent in not_folders(self.root, parents(path), self.gone):
            self._set_aside(parent)
        self._bring(path, lying, place)

    def _bring(self, path: bytes, lying: Path, place: str) -> None:
        if is_folder(lying) and self._holds_folder(path):  # of both: piece by piece
            for piece in sorted(lying.iterdir()):
                name = os.fsencode(piece.name)
                self._bring(path + b"/" + name, piece, f"{place}/{piece.name}")
            return
        if not self.held(path) and path not in self.gone:
            there = at(self.root, path)
            if os.path.lexists(there) and (
                not is_folder(there) or holds_more(self.root, there, self.gone)
            ):
                self._set_aside(path)
        self.back[os.fsdecode(path)] = place

    def _holds_folder(self, path: bytes) -> bool:
        return self.held(path + b"/")

    def _holds_file(self, path: bytes) -> bool:
        return self.held(path) and not self._holds_folder(path)

    def _set_aside(self, path: bytes) -> None:
        self.aside.setdefault(os.fsdecode(path), place_aside(self.number, len(self.aside)))


def returning(
    root: Path,
    private: Path,
    things: Mapping[str, str],
    plan: Plan,
    number: int,
    held: Callable[[bytes], bool],
) -> Plan:
    """The plan with ``things`` coming back, and what lies in their places set aside.

    ``held`` says whether the state that is gone to has something at a path, or below it; that
    stays, and the thing that would come there stays aside.
    """
    way = _Way(
        root,
        frozenset(move.path for move in plan.moves if move.after is None),
        held,
        dict(plan.around.aside),
        {},
        number,
    )
    for name, place in sorted(things.items()):
        way.bring(os.fsencode(name), private / place, place)
    return replace(plan, around=replace(plan.around, aside=way.aside, returns=way.back))
