"""Captures kept by key, each built once: a second capture of the same code costs one read.

Processes that start together (the ranks of one job, the workers of a loader) each read the
working tree. One of them builds, under a lock by key. The others wait for its result, and build
alone when they have waited too long. What is in the folder is checked like any other input.
"""

import base64
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from jellyml.errors import BadSnapshot
from jellyml.fs import atomic, locks
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import Credential

LIMIT = 2_000_000_000  # bytes of captures kept; the least recently used go first
WAIT = 30.0  # seconds to wait for another process before building alone
_TRIES = 3  # as long as files change under the read
_READ = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_BINARY"))
_FOLDERS = ("captures", "locks", "indexes")
_BUCKETS = 256  # at most so many lock files, and so many files of indexes
_START = 64  # bytes that hold the first line: a checksum and a length
_KEY = re.compile(r"\w{1,64}", re.ASCII)  # a name in the folder, never a path
_LARGEST = 1 << 16  # bytes of a file of indexes
_OLD = 3600.0  # seconds after which what a killed process left half written is litter

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Built:
    """A capture's filling, and what is known from building it."""

    filling: bytes
    commit: str
    cut: str = ""
    commit_texts: Mapping[str, bytes] = field(default_factory=dict)
    raw: tuple[str, ...] = ()
    secrets: tuple[Credential, ...] = ()

    @property
    def bundle_sha256(self) -> str | None:
        """As the filling's header has it. Raises BadSnapshot."""
        return serialization.parse_header(self.filling[: serialization.HEADER_SIZE]).sha256


@dataclass(frozen=True, slots=True)
class Cache:
    """A private folder of captures, by key."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "Cache | None":
        """The cache, or None where there is no folder to write to. Links are not followed."""
        if not folder.is_absolute() or folder.is_symlink():
            return None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.name != "nt" and folder.stat().st_uid != os.getuid():
                return None
            for name in _FOLDERS:
                (folder / name).mkdir(exist_ok=True, mode=0o700)
                if (folder / name).is_symlink():
                    return None
            # Where a home is itself a repository, the cache is not part of its code.
            with suppress(FileExistsError), (folder / ".gitignore").open("x") as file:
                file.write("*\n")
        except OSError:
            return None
        return cls(folder) if os.access(folder, os.W_OK | os.X_OK) else None

    def get_or_build(
        self,
        key: str,
        build: Callable[[], Built],
        *,
        keep_if: Callable[[], bool] = lambda: True,
        wait: float = WAIT,
    ) -> Built:
        """The capture of that name; one that is missing is built, and kept if ``keep_if()``.

        Another process that builds it is waited for, ``wait`` seconds at most.
        """
        found = self.get(key)
        if found:
            return found
        with self._build_lock(key, wait):
            found = self.get(key)  # another process may have built it meanwhile
            if found:
                return found
            built = build()
            if keep_if():
                self.put(key, built)
            return built

    def get(self, key: str) -> Built | None:
        """A capture; None where it is missing, torn, or not as JellyML writes it."""
        path = self._capture(key)
        found = _read(path)
        with suppress(OSError):
            if found:
                os.utime(path)
        return found

    def put(self, key: str, built: Built) -> None:
        """Keep a capture; a full disk only means that it is not kept."""
        text = json.dumps(_as_json(built)).encode()
        head = b"%d %d\n" % (zlib.crc32(built.filling, zlib.crc32(text)), len(text))
        with suppress(OSError):
            # Not synced: what a power cut tears, the checksum finds.
            atomic.replace(self._capture(key), [head, text, built.filling], durable=False)
            self._sweep()

    def indexes(self, repository: Path) -> dict[str, bool]:
        """What the last read of a repository found of its indexes; see ``WorkingTree``."""
        try:
            found = json.loads(atomic.read_plain(self._indexes(repository), _LARGEST))
        except (OSError, ValueError, RecursionError):
            return {}
        right = isinstance(found, dict) and all(isinstance(one, bool) for one in found.values())
        return found if right else {}

    def keep_indexes(self, repository: Path, found: Mapping[str, bool]) -> None:
        """Keep that for the next process. A checksum names the index, so nothing goes stale."""
        with suppress(OSError):
            text = json.dumps(found).encode()
            atomic.replace(self._indexes(repository), [text], durable=False)

    @contextmanager
    def _build_lock(self, key: str, wait: float) -> Iterator[None]:
        """Hold the lock of a key; go on without it once the capture is there, or after ``wait``."""
        lock = self.folder / "locks" / _bucket(key.encode())
        with ExitStack() as held:
            with suppress(OSError):  # a file system without locks: each process builds alone
                held.enter_context(locks.locked(lock, wait=wait, unless=self._capture(key).exists))
            yield

    def _capture(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a key.")
        return self.folder / "captures" / key

    def _indexes(self, repository: Path) -> Path:
        return self.folder / "indexes" / _bucket(os.fsencode(repository))

    def _sweep(self) -> None:
        """Drop the least recently used beyond the limit, and litter."""
        kept = []
        total = 0
        for path in (self.folder / "captures").iterdir():
            seen = path.lstat()
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


def retry(attempt: Callable[[], T], when: type[Exception]) -> T:
    """What ``attempt`` returns, tried again while it raises ``when``; three times in all."""
    for _ in range(_TRIES - 1):
        with suppress(when):
            return attempt()
    return attempt()


def _bucket(name: bytes) -> str:
    return f"{zlib.crc32(name) % _BUCKETS:02x}"


def _as_json(built: Built) -> dict[str, object]:
    texts = built.commit_texts.items()
    return {
        "commit": built.commit,
        "cut": built.cut,
        "texts": {one: base64.b64encode(text).decode() for one, text in texts},
        "raw": built.raw,
        "secrets": [asdict(one) for one in built.secrets],
    }


def _read(path: Path) -> Built | None:
    try:
        with os.fdopen(os.open(path, _READ), "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(_START)
            line = start.index(b"\n") + 1
            check, length = map(int, start[:line].split())
            begin = line + length
            if not line <= begin <= size:
                return None
            file.seek(line)
            facts = file.read(length)
            # Read in one piece, and never copied: it may be tens of megabytes.
            filling = file.read(size - begin)
        if zlib.crc32(filling, zlib.crc32(facts)) != check:
            return None
        return _built(filling, json.loads(facts))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, BadSnapshot):
        return None


def _built(filling: bytes, facts: Mapping[str, object]) -> Built:
    """A capture from its file. Raises what a malformed one raises."""
    texts = cast("Mapping[str, str]", facts["texts"])
    rows = cast("list[Mapping[str, object]]", facts["secrets"])
    built = Built(
        filling=filling,
        commit=_text(facts["commit"]),
        cut=_text(facts["cut"]),
        commit_texts={one: base64.b64decode(text) for one, text in texts.items()},
        raw=tuple(_text(path) for path in cast("list[object]", facts["raw"])),
        secrets=tuple(
            Credential(_text(row["path"]), int(cast("int", row["line"])), _text(row["kind"]))
            for row in rows
        ),
    )
    _ = built.bundle_sha256  # a malformed header is found here
    return built


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
