"""Captures kept for the next process: a second capture of the same code costs a look.

Processes that start together (the ranks of one job, the workers of a loader) take turns per
repository. One that finds a look which began after its own start takes that result: it is as
new as its own would be.
"""

import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from jellyml.fs import atomic, locks
from jellyml.fs.directory import Directory

LIMIT = 2_000_000_000  # bytes of captures kept; the least recently used go first
WAIT = 30.0  # seconds to wait for another process before capturing alone
_READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_BINARY"))
_TURNS = 256  # so that a folder full of repositories leaves no more files than that
_TURN = b"4"  # what a turn leaves has this form
_START = 64  # bytes that hold the first line: a checksum and a length
KEY = re.compile(r"\w{1,64}")  # a name in the folder, and no path
_OLD = 3600.0  # seconds after which what a killed process left half written is litter


@dataclass(frozen=True, slots=True)
class Cache:
    """A private folder of captures, by key."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "Cache | None":
        """The cache, or None where there is no folder to write to."""
        if not folder.is_absolute() or folder.is_symlink():
            return None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.name != "nt" and folder.stat().st_uid != os.getuid():
                return None
            for name in ("captures", "turns"):
                (folder / name).mkdir(exist_ok=True, mode=0o700)
                if (folder / name).is_symlink():
                    return None
            # Where a home is itself a repository, this is none of its code.
            with suppress(FileExistsError), (folder / ".gitignore").open("x") as file:
                file.write("*\n")
        except OSError:
            return None
        return cls(folder) if os.access(folder, os.W_OK | os.X_OK) else None

    def get(self, key: str) -> "Kept | None":
        """A capture's filling and the facts beside it; None where they are not whole."""
        path = self._captures / key
        found = _read(path) if KEY.fullmatch(key) else None
        with suppress(OSError):
            if found:
                os.utime(path)
        return found

    def put(self, key: str, filling: bytes, facts: dict[str, object]) -> None:
        """Keep a capture; a full disk only means that it is not kept."""
        text = json.dumps(facts).encode()
        head = b"%d %d\n" % (zlib.crc32(filling, zlib.crc32(text)), len(text))
        with suppress(OSError):
            # Not synced: what a power cut tears, the checksum finds.
            atomic.replace(self._captures / key, [head, text, filling], durable=False)
            self._sweep()

    @contextmanager
    def turn(
        self,
        repository: Path,
        options: str,
        *,
        entered: float | None = None,
        wait: float = WAIT,
        idle: Callable[[], None] = lambda: None,
    ) -> Iterator["Turn"]:
        """Wait for this repository's turn, or for what another finds that began after ``entered``.

        After ``wait`` seconds go on without. ``idle`` is called if there is anything to wait for.
        """
        name = sha256(b"\0".join((_TURN, os.fsencode(repository), options.encode()))).hexdigest()
        place = self.folder / "turns" / f"{int(name, 16) % _TURNS:02x}"
        turn = Turn(place, name, now() if entered is None else entered, idle)
        with ExitStack() as held:
            with suppress(OSError):  # a file system without locks: everybody captures alone
                lock = place.with_suffix(".lock")
                held.enter_context(locks.locked(lock, wait=wait, unless=turn.awaited))
            yield turn

    @contextmanager
    def building(self, key: str, *, wait: float = WAIT) -> Iterator[None]:
        """Wait for the right to build a capture, or until it is there; then, or after ``wait``
        seconds, go on."""
        lock = self.folder / "turns" / f"{int(key, 16) % _TURNS:02x}.build"
        with ExitStack() as held:
            with suppress(OSError):
                there = (self._captures / key).exists
                held.enter_context(locks.locked(lock, wait=wait, unless=there))
            yield

    @property
    def _captures(self) -> Path:
        return self.folder / "captures"

    def _sweep(self) -> None:
        """Drop the least recently used beyond the limit, and litter."""
        kept = []
        total = 0
        for path in self._captures.iterdir():
            seen = path.stat()
            if path.name.startswith(".") and seen.st_mtime < time.time() - _OLD:
                path.unlink(missing_ok=True)
            elif not path.name.startswith("."):
                kept.append((seen.st_mtime, seen.st_size, path))
                total += seen.st_size
        for _, size, path in sorted(kept)[:-1]:
            if total <= LIMIT:
                break
            path.unlink(missing_ok=True)
            total -= size


@dataclass(slots=True)
class Turn:
    """One process's turn: what the one before it found, if that is new enough."""

    place: Path
    name: str
    entered: float
    _idle: Callable[[], None] | None = None
    _looked_at: int = -1  # the time of the record that was there last

    @property
    def record(self) -> Path:
        return self.place.with_suffix(".json")

    @property
    def _asked_for(self) -> Path:
        """Lies there while somebody waits for the record."""
        return self.place.with_suffix(".wait")

    def last(self) -> dict[str, object]:
        """The last look, however old it is; empty where there is none."""
        return self._left() or {}

    def result(self) -> dict[str, object] | None:
        """The last look, when it began after this process asked."""
        return self._left(since=self.entered)

    def awaited(self) -> bool:
        """Ask whoever's turn it is for the record; True when it is there."""
        if self._idle:
            idle, self._idle = self._idle, None
            idle()
        try:
            written = self.record.stat().st_mtime_ns
        except OSError:
            written = 0
        if written == self._looked_at:  # asked often, by many at once
            return False
        self._looked_at = written
        with suppress(OSError):
            Directory.open(self._asked_for.parent).entry(self._asked_for.name).touch()
        return self.result() is not None

    def _left(self, since: float | None = None) -> dict[str, object] | None:
        try:
            last = json.loads(self.record.read_bytes())
            if last["name"] != self.name:
                return None
            if since is not None and not (last["boot"] == boot() != "" and last["began"] >= since):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        result = last.get("result")
        return result if isinstance(result, dict) else None

    def leave(self, began: float, result: dict[str, object]) -> None:
        """Leave a look that began at ``began`` for those who wait, and for the next process.

        Where nobody waits and it is what lies there, it says nothing new.
        """
        if json.dumps(result) == json.dumps(self._left()) and not self._asked_for.exists():
            return
        record = {"boot": boot(), "name": self.name, "began": began, "result": result}
        with suppress(OSError):
            self._asked_for.unlink(missing_ok=True)
            atomic.replace(self.record, [json.dumps(record).encode()], durable=False)

    def add(self, name: str, value: object) -> None:
        """Something else about what lies there, learned since; nothing depends on it."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(self.record.read_bytes())
            if record["name"] == self.name and record["result"].get(name) != value:
                record["result"][name] = value
                atomic.replace(self.record, [json.dumps(record).encode()], durable=False)


Kept = tuple[bytes, dict[str, object]]


def _read(path: Path) -> Kept | None:
    try:
        with os.fdopen(os.open(path, _READ), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(_START)
            line = start.index(b"\n") + 1
            check, length = map(int, start[:line].split())
            begin = line + length
            if begin > size:
                return None
            file.seek(line)
            facts = file.read(length)
            # Read in one piece, and never copied: it may be tens of megabytes.
            filling = file.read(size - begin)
        if zlib.crc32(filling, zlib.crc32(facts)) != check:
            return None
        return filling, json.loads(facts)
    except (OSError, ValueError):
        return None


def now() -> float:
    """Seconds on a clock that all processes of this boot share, suspended time included."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@lru_cache(maxsize=1)
def boot() -> str:
    """This boot of this machine; empty where it is unknown.

    A clock restarts at boot and a home may be shared by a cluster: without this, another
    boot's record could pass for new.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
