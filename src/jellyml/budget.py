"""How much work one command does on files that it does not trust.

Idea: a command creates one budget and passes it on; a loop whose length a file decides charges it.
Limits of single readers can be got around by many small files; the sum cannot. Invariant: what is
charged is bounded for any input, except with ``Budget.unlimited()``.
"""

import mmap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jellyml.errors import JellyError

MEMORY = 256 << 20  # bytes that a command keeps, above what the process has at its start
SECONDS = 60.0  # of processor time
SECONDS_PER_BYTE = 10 / (1 << 30)  # more, for each byte that is read
STEPS = 100_000_000  # of a library call: about as long as SECONDS
STEPS_PER_BYTE = 1 / 100  # more, for each byte that is read
_READINGS = 4  # more readings of the same bytes give no more time
_STEPS_PER_LOOK = 1 << 12  # steps between two looks at the clock and the memory
_MEMORY_FILE = Path("/proc/self/statm")
# Bytes that may be allocated between two looks, and those of libraries that are loaded meanwhile.
_RESERVE = 48 << 20
_BYTES_PER_STEP = 1 << 10  # bytes read or made that count as one step


class Exhausted(JellyError):
    """The budget ran out. What was shown until then is true, and not all."""


class Budget:
    """The limits of one command, and what it has used of them.

    memory   bytes that may be kept at once, as estimated by the callers. On Linux, with a limit of
             seconds, what the process takes is measured as well.
    seconds  processor seconds of this process from now on
    steps    steps of work
    None is no limit.
    """

    def __init__(
        self,
        memory: int | None = MEMORY,
        seconds: float | None = SECONDS,
        steps: int | None = None,
        *,
        can_lift: bool = True,
    ) -> None:
        self._memory = memory
        self._seconds = seconds
        self._most_steps = steps
        self._can_lift = can_lift
        self._start = time.process_time()
        self._start_memory = memory_in_use()
        self._part = "this command"
        self._steps_at_look = 0
        self._lock = threading.RLock()  # a finalizer may drop while this thread keeps
        self._readable = 0
        self.steps = 0
        self.bytes_read = 0
        self.kept = 0

    @classmethod
    def unlimited(cls) -> "Budget":
        """Return a budget without limits, for the user's own files."""
        return cls(None, None)

    @classmethod
    def of_library(cls) -> "Budget":
        """Return the budget of a library call.

        The time and the memory of the process are not measured: the caller's work is part of them.
        """
        return cls(seconds=None, steps=STEPS, can_lift=False)

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
        self.steps += count
        if self.steps - self._steps_at_look >= _STEPS_PER_LOOK:
            self._steps_at_look = self.steps
            self.check()

    def opened(self, size: int) -> None:
        """Allow the time to read a file of this size. What is read beyond gives no more time."""
        self._readable += _READINGS * size

    def read(self, size: int) -> None:
        """Charge bytes that were read from a file. Raises Exhausted."""
        self.bytes_read += size
        self.step(1 + size // _BYTES_PER_STEP)

    def make(self, size: int) -> None:
        """Charge bytes that are computed or unpacked, and not kept. Raises Exhausted."""
        self.step(1 + size // _BYTES_PER_STEP)

    def keep(self, size: int) -> None:
        """Charge bytes that stay in memory. Raises Exhausted before they are allocated."""
        with self._lock:
            if self._memory is None or self.kept + size <= self._memory:
                self.kept += size
                return
        raise self._exhausted_memory()

    def drop(self, size: int) -> None:
        """Give back what ``keep`` charged."""
        with self._lock:
            self.kept -= size

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Charge bytes that stay in memory while the block runs. Raises Exhausted."""
        self.keep(size)
        try:
            yield
        finally:
            self.drop(size)

    def check(self) -> None:
        """Raise Exhausted if the processor time, the steps or the memory are used up."""
        self._check_memory()
        read = min(self.bytes_read, self._readable)
        if self._most_steps is not None and self.steps > self._most_steps + STEPS_PER_BYTE * read:
            raise self._exhausted(f"it took more than {self._most_steps:,} steps")
        if self._seconds is None:
            return
        allowed = self._seconds + SECONDS_PER_BYTE * read
        if time.process_time() - self._start > allowed:
            raise self._exhausted(f"it took more than {allowed:,.0f} s of processor time")

    def _check_memory(self) -> None:
        if self._memory is None or self._seconds is None:
            return
        if memory_in_use() - self._start_memory > self._memory - _RESERVE:
            raise self._exhausted_memory()

    def _exhausted_memory(self) -> Exhausted:
        limit = (self._memory or 0) >> 20
        return self._exhausted(f"it would take more than {limit:,} MiB of memory")

    def _exhausted(self, reason: str) -> Exhausted:
        fix = "if you trust the file: add --no-limits." if self._can_lift else ""
        return Exhausted(f"{self._part[:1].upper()}{self._part[1:]} was given up: {reason}.", fix)


class Kept:
    """What one object keeps in memory: charged as it grows, and dropped as a whole."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.size = 0

    def add(self, size: int) -> None:
        """Charge more bytes. Raises Exhausted before they are allocated."""
        self.budget.keep(size)
        self.size += size

    def drop(self) -> None:
        """Give back all of it."""
        self.budget.drop(self.size)
        self.size = 0


@contextmanager
def kept(budget: Budget) -> Iterator[Kept]:
    """Yield what the block keeps in memory, and drop it at the end."""
    objects = Kept(budget)
    try:
        yield objects
    finally:
        objects.drop()


def memory_in_use() -> int:
    """Return the bytes of memory that the process has written; 0 where it cannot be measured."""
    try:
        _, resident, of_files, *_ = _MEMORY_FILE.read_bytes().split()
    except OSError:
        return 0
    return (int(resident) - int(of_files)) * mmap.PAGESIZE
