"""A line of the result: what was measured, against what, and whether that is good enough."""

import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.measure import Failed, Samples
from jellyml import JellyError


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several runs, and the quartiles: half of them lie between."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper)


@dataclass(frozen=True, slots=True)
class Check:
    """A requirement: ``measured`` must not be above ``limit``."""

    name: str
    measured: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of each run, ours and theirs in the same order; the rest says what they are.

    ``whole`` is JellyML's same work, done the other way than ``ours``: as a process of its
    own where that was a call, as a call where that was a process. ``processors`` are seconds
    of all processors, ours and theirs; ``memory`` and ``read`` are those of our process. ``why``
    is set where nothing could be measured.
    """

    what: str
    against: str = ""
    files: int | None = None
    state: str = ""
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    as_call: bool = True
    other_way: tuple[float, ...] = ()
    processors: tuple[float, float] = (0, 0)
    memory: int = 0
    read: int = 0
    checks: tuple[Check, ...] = ()
    note: str = ""
    why: str = ""

    @property
    def title(self) -> str:
        return ", ".join(filter(None, (self.what, self.state)))

    @property
    def times(self) -> Spread | None:
        """How many times theirs ours took, run by run: what disturbs one disturbs the other."""
        pairs = list(zip(self.ours, self.theirs, strict=False))
        return Spread.of([ours / theirs for ours, theirs in pairs]) if pairs else None

    @property
    def met(self) -> bool | None:
        """Whether all checks hold; None without checks."""
        return all(check.met for check in self.checks) if self.checks else None

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Line":
        checks = tuple(Check(**check) for check in record.pop("checks"))
        lists = {name: tuple(value) for name, value in record.items() if isinstance(value, list)}
        return cls(**(record | lists), checks=checks)


@dataclass(frozen=True, slots=True)
class Group:
    """The lines of one module of ``rows``, and when and how busy it was then."""

    name: str
    when: str = ""
    load: float = 0.0  # runnable processes on average while it began
    seconds: float = 0.0
    lines: list[Line] = field(default_factory=list)


def compared(
    what: str,
    against: str,
    taken: Mapping[str, Samples],
    *checks: Check,
    files: int | None = None,
    state: str = "",
    as_call: bool = True,
    note: str = "",
) -> Line:
    """A line from the sides ``ours``, ``theirs`` and, if it was measured, ``other way``."""
    ours, theirs = taken["ours"], taken.get("theirs", ())
    other = taken.get("other way", ())
    processes = other if as_call and other else ours
    return Line(
        what,
        against,
        files,
        state,
        _seconds(ours),
        _seconds(theirs),
        as_call,
        _seconds(other),
        processors=(_processors(ours), _processors(theirs)),
        memory=max(sample.memory for sample in processes),
        read=max(sample.read for sample in processes),
        checks=checks,
        note=note,
    )


def tried(what: str, measure: Callable[[], Line]) -> Line:
    """The line, or one that says why there is none: the others are measured all the same."""
    try:
        return measure()
    except (Failed, JellyError, OSError, subprocess.CalledProcessError) as problem:
        return Line(what, why=f"{type(problem).__name__}: {problem}")


def _seconds(samples: Samples) -> tuple[float, ...]:
    return tuple(sample.seconds for sample in samples)


def _processors(samples: Samples) -> float:
    return statistics.median(sample.processors for sample in samples) if samples else 0


def times(taken: Mapping[str, Samples], limit: float) -> Check:
    """At most so many times what the other takes."""
    measured = Line("", ours=_seconds(taken["ours"]), theirs=_seconds(taken["theirs"])).times
    assert measured
    return Check("times", measured.median, limit)


def more(taken: Mapping[str, Samples], limit: float) -> Check:
    """At most so many seconds more than the other takes."""
    pairs = zip(taken["ours"], taken["theirs"], strict=True)
    extra = statistics.median(one.seconds - other.seconds for one, other in pairs)
    return Check("more", extra, limit, "s")


def at_most(taken: Mapping[str, Samples], limit: float) -> Check:
    """At most so many seconds."""
    return Check("takes", statistics.median(_seconds(taken["ours"])), limit, "s")
