"""How much work one command does on files that it does not trust.

Idea: each command creates one budget and passes it on; every loop whose length a file decides
charges it. Limits of single readers can be got around by many small files; the sum cannot.
Invariant: memory and time are bounded for any input, except with ``Budget.unlimited()``.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from jellyml.errors import JellyError

MEMORY = 256 << 20  # bytes that a command keeps, above what the process has at its start
SECONDS = 60.0  # of processor time
SECONDS_PER_BYTE = 10 / (1 << 30)  # more, for each byte that is read
_STEPS_PER_LOOK = 1 << 12  # steps between two looks at the clock
_BYTES_PER_STEP = 1 << 10  # bytes read or made that count as one step


class Exhausted(JellyError):
    """The budget ran out. What was shown until then is true, and not all."""


class Budget:
    """The limits of one command, and what it has used of them.

    memory   bytes that may be kept at once, as estimated by the callers
    seconds  processor seconds of this process from now on; None is no limit. A library call has
             none, because the caller's own work counts too.
    """

    def __init__(
        self, memory: int | None = MEMORY, seconds: float | None = SECONDS, *, can_lift: bool = True
    ) -> None:
        self._memory = memory
        self._seconds = seconds
        self._can_lift = can_lift
        self._start = time.process_time()
        self._part = "this command"
        self._steps = 0
        self.bytes_read = 0
        self.kept = 0

    @classmethod
    def unlimited(cls) -> "Budget":
        """Return a budget without limits, for the user's own files."""
        return cls(None, None)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Name the part of the work that the block does, for the message."""
        before, self._part = self._part, name
        try:
            yield
        finally:
            self._part = before

    def step(self, count: int = 1) -> None:
        """Charge steps: an element, a name, a node, a line. Raises Exhausted."""
        self._steps += count
        if self._steps >= _STEPS_PER_LOOK:
            self._steps = 0
            self.check_time()

    def read(self, size: int) -> None:
        """Charge bytes that were read from a file. Raises Exhausted."""
        self.bytes_read += size
        self.step(1 + size // _BYTES_PER_STEP)

    def make(self, size: int) -> None:
        """Charge bytes that are computed or unpacked, and not kept. Raises Exhausted."""
        self.step(1 + size // _BYTES_PER_STEP)

    def keep(self, size: int) -> None:
        """Charge bytes that stay in memory. Raises Exhausted before they are allocated."""
        self.kept += size
        if self._memory is not None and self.kept > self._memory:
            self.kept -= size
            raise self._exhausted(f"it would take more than {self._memory >> 20:,} MiB of memory")

    def drop(self, size: int) -> None:
        """Give back what ``keep`` charged."""
        self.kept -= size

    def check_time(self) -> None:
        """Raise Exhausted if the processor time is used up."""
        if self._seconds is None:
            return
        allowed = self._seconds + SECONDS_PER_BYTE * self.bytes_read
        if time.process_time() - self._start > allowed:
            raise self._exhausted(f"it took more than {allowed:,.0f} s of processor time")

    def _exhausted(self, reason: str) -> Exhausted:
        fix = "if you trust the file: add --no-limits." if self._can_lift else ""
        return Exhausted(f"{self._part[:1].upper()}{self._part[1:]} was given up: {reason}.", fix)
