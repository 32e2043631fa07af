"""Fill what a run has finished writing while it goes on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from jellyml import locks
from jellyml.errors import JellyError
from jellyml.recorder.candidates import Candidate, candidates
from jellyml.recorder.fills import BeingWritten, Result, carried, put, put_beside
from jellyml.recorder.plan import Plan
from jellyml.recorder.watch import Mark, look, mark_of

if TYPE_CHECKING:
    from pathlib import Path

EVERY = 5.0  # seconds; a file that stood still for so long is whole
_SHARE = 20  # looking takes at most so small a part of the time


class Live:
    """What was filled so far; the newest state of each file."""

    def __init__(self, plan: Plan, every: float = EVERY) -> None:
        self.results: dict[Path, Result] = {}
        self._plan = plan
        self._every = every
        self._ended = threading.Event()
        self._last: dict[Path, Mark] = {}
        self._done: set[Mark] = set()

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Look again and again while the block runs, in a thread of our own."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        pause = self._every
        while not self._ended.wait(pause):
            began = time.monotonic()
            with suppress(OSError):
                self._look()
            pause = max(self._every, _SHARE * (time.monotonic() - began))

    def _look(self) -> None:
        if self._plan.mixed:  # the end says so
            return
        written = look(self._plan.folders).written_since(self._plan.before)
        still = [
            path
            for path, mark in written.items()
            if self._last.get(path) == mark
            and mark not in self._done
            and not locks.is_written(path)
        ]
        self._last = written
        moving = {path.parent for path, mark in written.items() if path not in still}
        for one in candidates(still):
            if self._ended.is_set():
                return
            if isinstance(one, Candidate) and not (one.folder and one.path in moving):
                try:
                    self._fill(one)
                except BeingWritten:  # the next look tries it again
                    still = [path for path in still if path != one.path]
        self._done.update(written[path] for path in still)

    def _fill(self, one: Candidate) -> None:
        """What cannot be filled at all is left to the end, which says why."""
        if carried(one, self._plan):
            return
        try:
            if one.folder:
                size = put(one.path, self._plan.snapshot)
            else:
                size = put_beside(one.path, self._last[one.path], self._plan)
                new = mark_of(one.path)
                if new:
                    self._last[one.path] = new
                    self._done.add(new)
        except BeingWritten:
            raise
        except (JellyError, OSError):
            return
        self.results[one.path] = Result(one.path, "filled", size=size)
