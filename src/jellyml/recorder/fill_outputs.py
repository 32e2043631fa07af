"""Put the code of a run into its outputs, at the end or while it goes on."""

import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from jellyml.checkpoint.apply_edit import refuse_links
from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.checkpoint.fill import fill
from jellyml.errors import BadSnapshot, JellyError, pasteable
from jellyml.fs import atomic, locks
from jellyml.recorder.outputs import Candidate, Doubtful, Mark, candidates, look, mark_of
from jellyml.recorder.run_state import RunState
from jellyml.snapshot import serialization
from jellyml.snapshot.manifest import Manifest
from jellyml.snapshot.snapshot import Snapshot

MOST_ADDED = 2_000_000_000  # bytes, so that a run that writes a thousand files fills no disk

_CLOCK = 5.0  # seconds that two machines' clocks may be apart

ResultKind = Literal["filled", "own", "not filled"]
Whose = Literal["ours", "run", "earlier"]

EVERY = 5.0  # seconds; a file that stood still for so long is whole
_SHARE = 20  # looking takes at most so small a part of the time


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one checkpoint; ``why`` for those not filled, and what to know of the others."""

    path: Path
    kind: ResultKind
    why: str = ""
    size: int = 0


def fill_written(
    written: Iterable[Path], plan: RunState, *, mixed: str = "", most: int = MOST_ADDED
) -> Iterator[Result]:
    """In place, the largest first, until ``most`` bytes were added.

    ``mixed`` says why nobody can tell whose the files are. Raises nothing.
    """
    added = 0
    found = list(candidates(written))
    for one in found:
        if isinstance(one, Doubtful):
            why = f"it may be data. Fix: jellyml fill {pasteable(one.path)}"
            yield Result(one.path, "not filled", why)
    chosen = (one for one in found if isinstance(one, Candidate))
    for one in sorted(chosen, key=lambda one: (-one.size, one.path)):
        whose = carried(one, plan)
        if whose:
            yield _left_alone(one.path, whose)
        elif mixed:
            yield Result(one.path, "not filled", mixed)
        elif added + len(plan.snapshot.filling) > most:
            why = f"enough was added already. Fix: jellyml fill {pasteable(one.path)}"
            yield Result(one.path, "not filled", why)
        else:
            result = _filled(one.path, plan.snapshot)
            added += result.size
            yield result


class BeingWritten(JellyError):
    """A file that changed, or may, before it could be filled."""


def put(path: Path, snapshot: Snapshot) -> int:
    """Fill in place; the bytes that were put in. Raises JellyError."""
    if path.is_file() and locks.is_written(path):
        raise BeingWritten("Another program is writing it.", f"jellyml fill {pasteable(path)}")
    seen = path.stat()
    size = fill(path, snapshot).size
    with suppress(OSError):  # who takes the newest up again, or tidies up, goes by the time
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return size


def put_beside(path: Path, mark: Mark, plan: RunState) -> int:
    """The same through a copy that takes the file's place, if that is still the one of ``mark``.

    Whoever has the old file open goes on reading it. UnsafeToContinue for one of several names:
    they would name different files then.
    """
    refuse_links(path, follow=False)
    beside = path.with_name(f".jellyml-record-{os.getpid():x}-{time.monotonic_ns():x}")
    plan.copying(beside)
    try:
        beside.touch(mode=0o600)  # before there is anything to be seen in it
        shutil.copyfile(path, beside)
        shutil.copystat(path, beside)
        size = fill(beside, plan.snapshot).size
        os.utime(beside, ns=(mark[2], mark[2]))  # trainers that tidy up go by the time
        if mark_of(path) != mark or locks.is_written(path):
            raise BeingWritten("It is being written.")
        beside.replace(path)
        atomic.sync_folder(path.parent)
        return size
    finally:
        with suppress(OSError):
            beside.unlink()


def carried(one: Candidate, plan: RunState) -> Whose | None:
    """Whose snapshot is in it: ours (of a pass before this one), the run's, an earlier run's."""
    try:
        found = Checkpoint.open(one.path).manifest
        if found is None:  # JellyML 1.0 says nothing
            return "run"
        ours = serialization.parse_manifest(plan.snapshot.manifest)
        if found | {"bundle_sha256": None} == ours | {"bundle_sha256": None}:
            return "ours"
        began = datetime.fromisoformat(Manifest(found).created or "").timestamp()
        earlier = began < plan.began - _CLOCK
    except BadSnapshot:
        return "run"  # not ours to replace
    except (JellyError, OSError):
        return None
    except (ValueError, OverflowError):
        return "run"
    if earlier and one.folder:
        return None  # beside weights that are new
    return "earlier" if earlier else "run"


def _left_alone(path: Path, whose: Whose) -> Result:
    if whose == "ours":
        return Result(path, "filled")
    if whose == "run":
        return Result(path, "own")
    why = f"it carries an earlier run's code. Fix: jellyml fill --replace {pasteable(path)}"
    return Result(path, "not filled", why)


def _filled(path: Path, snapshot: Snapshot) -> Result:
    try:
        return Result(path, "filled", size=put(path, snapshot))
    except JellyError as error:
        return Result(path, "not filled", str(error))
    except Exception as error:  # noqa: BLE001 (the run is over; its status stands)
        return Result(path, "not filled", f"{type(error).__name__}: {error}")


class Live:
    """What was filled so far; the newest state of each file."""

    def __init__(self, plan: RunState, every: float = EVERY) -> None:
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
