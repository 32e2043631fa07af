"""Fill the checkpoints that a run wrote, at its end or while it runs."""

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
from jellyml.recorder.outputs import (
    Mark,
    PossibleData,
    WrittenCheckpoint,
    find_checkpoints,
    look,
    mark_of,
)
from jellyml.recorder.run_state import RunState
from jellyml.snapshot import serialization
from jellyml.snapshot.manifest import Manifest
from jellyml.snapshot.snapshot import Snapshot

MOST_ADDED = 2_000_000_000  # bytes, so that a run with a thousand files does not fill the disk

_CLOCK_SKEW = 5.0  # seconds of difference between the clocks of two machines

ResultKind = Literal["filled", "own", "not filled"]
Origin = Literal["record", "run", "earlier"]

EVERY = 5.0  # seconds between scans; a file unchanged for this long is complete
_SHARE = 20  # scans take at most one part in this many of the time


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one checkpoint; ``why`` is the reason if it was not filled."""

    path: Path
    kind: ResultKind
    why: str = ""
    size: int = 0


def fill_written(
    written: Iterable[Path], run: RunState, *, mixed: str = "", most: int = MOST_ADDED
) -> Iterator[Result]:
    """Fill checkpoints in place, the largest first, until ``most`` bytes were added.

    ``mixed``, if not empty, is the reason why none can be attributed to this run. Raises nothing.
    """
    added = 0
    outputs = list(find_checkpoints(written))
    for one in outputs:
        if isinstance(one, PossibleData):
            why = f"it may be data. Fix: jellyml fill {pasteable(one.path)}"
            yield Result(one.path, "not filled", why)
    selected = (one for one in outputs if isinstance(one, WrittenCheckpoint))
    for one in sorted(selected, key=lambda one: (-one.size, one.path)):
        origin = origin_of(one, run)
        if origin:
            yield _unchanged(one.path, origin)
        elif mixed:
            yield Result(one.path, "not filled", mixed)
        elif added + len(run.snapshot.filling) > most:
            why = f"enough was added already. Fix: jellyml fill {pasteable(one.path)}"
            yield Result(one.path, "not filled", why)
        else:
            result = _filled(one.path, run.snapshot)
            added += result.size
            yield result


class BeingWritten(JellyError):
    """A file changed, or is open for writing, before it could be filled."""


def fill_in_place(path: Path, snapshot: Snapshot) -> int:
    """Fill in place and return the bytes added. Raises JellyError."""
    if path.is_file() and locks.is_written(path):
        raise BeingWritten("Another program is writing it.", f"jellyml fill {pasteable(path)}")
    before = path.stat()
    size = fill(path, snapshot).size
    with suppress(OSError):  # resuming and cleaning up use the time to find the newest
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return size


def fill_by_copy(path: Path, mark: Mark, run: RunState) -> int:
    """Fill a copy and rename it over the file, if that still has this ``mark``.

    A process that has the old file open continues to read it. Raises UnsafeToContinue if the file
    has several hard links, since the others would keep the old file. Raises BeingWritten.
    """
    refuse_links(path, follow=False)
    copy = path.with_name(f".jellyml-record-{os.getpid():x}-{time.monotonic_ns():x}")
    run.copying(copy)
    try:
        copy.touch(mode=0o600)  # private before it has any content
        shutil.copyfile(path, copy)
        shutil.copystat(path, copy)
        size = fill(copy, run.snapshot).size
        os.utime(copy, ns=(mark[2], mark[2]))  # trainers delete old checkpoints by their time
        if mark_of(path) != mark or locks.is_written(path):
            raise BeingWritten("It is being written.")
        copy.replace(path)
        atomic.sync_folder(path.parent)
        return size
    finally:
        with suppress(OSError):
            copy.unlink()


def origin_of(one: WrittenCheckpoint, run: RunState) -> Origin | None:
    """Return whose snapshot a checkpoint carries, None if it may be filled.

    ``record`` is of this record, ``run`` of the command itself, ``earlier`` of an earlier run.
    """
    try:
        manifest = Checkpoint.open(one.path).manifest
        if manifest is None:  # JellyML 1.0 wrote no manifest
            return "run"
        own = serialization.parse_manifest(run.snapshot.manifest)
        if manifest | {"bundle_sha256": None} == own | {"bundle_sha256": None}:
            return "record"
        created = datetime.fromisoformat(Manifest(manifest).created or "").timestamp()
        earlier = created < run.began - _CLOCK_SKEW
    except BadSnapshot:
        return "run"  # unknown content is not replaced
    except (JellyError, OSError):
        return None
    except (ValueError, OverflowError):
        return "run"
    if earlier and one.folder:
        return None  # the weights are new, the sidecar is old
    return "earlier" if earlier else "run"


def _unchanged(path: Path, origin: Origin) -> Result:
    if origin == "record":
        return Result(path, "filled")
    if origin == "run":
        return Result(path, "own")
    why = f"it carries an earlier run's code. Fix: jellyml fill --replace {pasteable(path)}"
    return Result(path, "not filled", why)


def _filled(path: Path, snapshot: Snapshot) -> Result:
    try:
        return Result(path, "filled", size=fill_in_place(path, snapshot))
    except JellyError as error:
        return Result(path, "not filled", str(error))
    except Exception as error:  # noqa: BLE001 (the run has ended; its status is kept)
        return Result(path, "not filled", f"{type(error).__name__}: {error}")


class Live:
    """Fill checkpoints while the command runs.

    A file is filled if two scans find the same mark and no process writes it. ``results`` has the
    newest result of each file.
    """

    def __init__(self, run: RunState, every: float = EVERY) -> None:
        self.results: dict[Path, Result] = {}
        self._run_state = run
        self._every = every
        self._ended = threading.Event()
        self._marks: dict[Path, Mark] = {}
        self._done: set[Mark] = set()

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Scan repeatedly in a thread while the block runs."""
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
            start = time.monotonic()
            with suppress(OSError):
                self._look()
            pause = max(self._every, _SHARE * (time.monotonic() - start))

    def _look(self) -> None:
        if self._run_state.mixed:  # reported at the end
            return
        written = look(self._run_state.folders).written_since(self._run_state.before)
        stable = [
            path
            for path, mark in written.items()
            if self._marks.get(path) == mark
            and mark not in self._done
            and not locks.is_written(path)
        ]
        self._marks = written
        unstable = {path.parent for path, mark in written.items() if path not in stable}
        for one in find_checkpoints(stable):
            if self._ended.is_set():
                return
            if isinstance(one, WrittenCheckpoint) and not (one.folder and one.path in unstable):
                try:
                    self._fill(one)
                except BeingWritten:  # the next scan tries it again
                    stable = [path for path in stable if path != one.path]
        self._done.update(written[path] for path in stable)

    def _fill(self, one: WrittenCheckpoint) -> None:
        """Fill one checkpoint. An error is ignored here: the end tries again and reports it."""
        if origin_of(one, self._run_state):
            return
        try:
            if one.folder:
                size = fill_in_place(one.path, self._run_state.snapshot)
            else:
                size = fill_by_copy(one.path, self._marks[one.path], self._run_state)
                new = mark_of(one.path)
                if new:
                    self._marks[one.path] = new
                    self._done.add(new)
        except BeingWritten:
            raise
        except (JellyError, OSError):
            return
        self.results[one.path] = Result(one.path, "filled", size=size)
