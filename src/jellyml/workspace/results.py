"""What an operation tells whoever asked for it; ``terminal`` turns it into words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Change:
    """What happened (or would) to one path, from the working tree's root."""

    kind: Literal["add", "modify", "delete", "move aside"]
    path: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One operation's result: sentences, and what they rest on."""

    verb: str
    root: Path
    message: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # what was not exact: shown even when all else is quiet
    changes: tuple[Change, ...] = ()
    commit: str | None = None


# "during": as an operation that was interrupted was found, and then rolled back.
Moment = Literal["before", "during", "after"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A state that can be gone back to. ``time`` in seconds since 1970."""

    number: int
    time: float
    verb: str  # the operation it stands before or after
    moment: Moment
    model: str | None
    commit: str | None  # where HEAD stood
    head: str  # the branch, or "detached"
    changed: int  # paths the operation changed
    current: bool
    undoable: bool
    aside: Mapping[str, str] = field(default_factory=dict)  # what lay there then: where it lies now


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that ``doctor`` found not to be as it should, or that is worth knowing."""

    problem: str
    repaired: bool
    fix: str = ""
    expected: bool = False  # worth knowing, and nothing to be mended
