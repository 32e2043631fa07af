"""Captures kept for the next process: a second capture of the same code costs a look.

Processes that start together (the ranks of one job, the workers of a loader) take turns per
repository. One that finds a look which began after its own start takes that result: it is as
new as its own would be.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from jellyml import files

LIMIT = 2_000_000_000  # bytes of captures kept; the least recently used go first
WAIT = 30.0  # seconds to wait for another process before capturing alone


@dataclass(frozen=True, slots=True)
class Cache:
    """A private folder of captures, by key."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "Cache | None":
        """The cache, or None where there is no folder to write to."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.name != "nt" and folder.stat().st_uid != os.getuid():
                return None
            for name in ("captures", "turns"):
                (folder / name).mkdir(exist_ok=True, mode=0o700)
        except OSError:
            return None
        return cls(folder) if os.access(folder, os.W_OK | os.X_OK) else None

    def get(self, key: str) -> tuple[bytes, dict[str, object]] | None:
        """A capture's filling and the facts beside it."""
        try:
            facts = json.loads(self._facts(key).read_bytes())
            filling = self._filling(key).read_bytes()
            if len(filling) != facts["size"]:
                return None
            os.utime(self._filling(key))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return filling, facts

    def put(self, key: str, filling: bytes, facts: dict[str, object]) -> None:
        """Keep a capture; a full disk only means that it is not kept."""
        try:
            files.replace(self._filling(key), [filling])
            files.replace(self._facts(key), [json.dumps(facts | {"size": len(filling)}).encode()])
            self._sweep()
        except OSError:
            return

    @contextmanager
    def turn(self, repository: Path, options: str) -> Iterator["Turn"]:
        """Wait for this repository's turn; after ``WAIT`` seconds go on without."""
        entered = now()
        name = sha256(os.fsencode(repository) + b"\0" + options.encode()).hexdigest()[:32]
        place = self.folder / "turns" / name
        with ExitStack() as held:
            with suppress(OSError):  # a file system without locks: everybody captures alone
                held.enter_context(files.locked(place.with_suffix(".lock"), wait=WAIT))
            yield Turn(place.with_suffix(".json"), entered)

    def _filling(self, key: str) -> Path:
        return self.folder / "captures" / key

    def _facts(self, key: str) -> Path:
        return self.folder / "captures" / f"{key}.json"

    def _sweep(self) -> None:
        kept = [path for path in (self.folder / "captures").iterdir() if not path.suffix]
        sizes = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in kept)
        total = sum(size for _, size, _ in sizes)
        for _, size, path in sizes[:-1]:
            if total <= LIMIT:
                break
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            total -= size


@dataclass(frozen=True, slots=True)
class Turn:
    """One process's turn: what the one before it found, if that is new enough."""

    record: Path
    entered: float

    def result(self) -> dict[str, object] | None:
        """The last look, when it began after this process asked."""
        try:
            last = json.loads(self.record.read_bytes())
            fresh = last["boot"] == _boot() and last["boot"] and last["began"] >= self.entered
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return last["result"] if fresh else None

    def leave(self, began: float, result: dict[str, object]) -> None:
        """Leave a look that began at ``began`` for those who wait."""
        record = {"boot": _boot(), "began": began, "result": result}
        with suppress(OSError):
            files.replace(self.record, [json.dumps(record).encode()], durable=False)


def now() -> float:
    """Seconds on a clock that all processes of this boot share, suspended time included."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _boot() -> str:
    """This boot of this machine; empty where it is unknown.

    A clock restarts at boot and a home may be shared by a cluster: without this, another
    boot's record could pass for new.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
