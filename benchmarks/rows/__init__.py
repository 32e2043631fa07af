"""What is measured, one module for each thing: a name, and ``lines`` that measures.

To add a row write a function that returns a ``Line``, and yield it from ``lines``.
"""

from collections.abc import Iterator
from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.line import Line
from benchmarks.rows import (
    capture,
    comparing,
    filling,
    finding,
    first_call,
    large_history,
    limits,
    loading,
    processes,
    recording,
    remote,
    startup,
    thousand,
    trackers,
)


class Row(Protocol):
    """What a module here provides."""

    @property
    def name(self) -> str: ...
    def lines(self, bench: Bench) -> Iterator[Line]: ...


ROWS: tuple[Row, ...] = (
    startup,
    capture,
    first_call,
    limits,
    recording,
    processes,
    loading,
    finding,
    filling,
    comparing,
    remote,
    large_history,
    thousand,
    trackers,
)
