"""The cache of captures, by key: a second capture of the same code only reads it.

Processes that start together (the ranks of one job, the workers of a loader) each read the
working tree. One of them builds, under a lock by key. The others wait for its result. After
``WAIT`` seconds they build alone. The files of the cache are checked like any other input.
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

LIMIT = 2_000_000_000  # bytes of all captures; the least recently used are removed first
WAIT = 30.0  # seconds to wait for another process before building alone
_TRIES = 3  # captures to attempt while files change during the read
_FOLDERS = ("captures", "locks", "indexes")
_BUCKETS = 256  # the most lock files, and the most files of indexes
_START = 64  # bytes that are read for the first line: a checksum and a length
_KEY = re.compile(r"\w{1,64}", re.ASCII)  # a file name, never a path
_LARGEST = 1 << 16  # bytes that are read of a file of indexes
_OLD = 3600.0  # seconds after which a temporary file of a killed process is removed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Built:
    """A capture's filling, and the facts from building it."""

    filling: bytes
    commit: str
    cut: str = ""
    commit_texts: Mapping[str, bytes] = field(default_factory=dict)
    raw: tuple[str, ...] = ()
    secrets: tuple[Credential, ...] = ()

    @property
    def bundle_sha256(self) -> str | None:
        """The digest in the filling's header. Raise BadSnapshot if the header is malformed."""
        return serialization.parse_header(self.filling[: serialization.HEADER_SIZE]).sha256


@dataclass(frozen=True, slots=True)
class Cache:
    """A private folder of captures, by key."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> "Cache | None":
        """Return the cache; None if the folder is unwritable, a link, or another user's."""
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
            # A home folder that is itself a repository must not track the cache.
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
        """Return the capture of ``key``. Build it if it is missing, and keep it if ``keep_if()``.

        Wait at most ``wait`` seconds for another process that builds it.
        """
        cached = self.get(key)
        if cached:
            return cached
        with self._build_lock(key, wait):
            cached = self.get(key)  # another process may have built it meanwhile
            if cached:
                return cached
            built = build()
            if keep_if():
                self.put(key, built)
            return built

    def get(self, key: str) -> Built | None:
        """Return a capture; None if it is missing, incomplete or malformed."""
        path = self._capture(key)
        cached = _read(path)
        with suppress(OSError):
            if cached:
                os.utime(path)
        return cached

    def put(self, key: str, built: Built) -> None:
        """Store a capture. If that fails, for example on a full disk, the cache is unchanged."""
        text = json.dumps(_as_json(built)).encode()
        head = b"%d %d\n" % (zlib.crc32(built.filling, zlib.crc32(text)), len(text))
        with suppress(OSError):
            # Not synced: the checksum detects what a power cut leaves incomplete.
            atomic.replace(self._capture(key), [head, text, built.filling], durable=False)
            self._sweep()

    def indexes(self, repository: Path) -> dict[str, bool]:
        """Return the ``WorkingTree.indexes`` of the last read of a repository."""
        try:
            stored = json.loads(atomic.read_plain(self._indexes(repository), _LARGEST))
        except (OSError, ValueError, RecursionError):
            return {}
        valid = isinstance(stored, dict) and all(isinstance(one, bool) for one in stored.values())
        return stored if valid else {}

    def keep_indexes(self, repository: Path, indexes: Mapping[str, bool]) -> None:
        """Store ``indexes`` for the next process. A key is a checksum, so none becomes stale."""
        with suppress(OSError):
            text = json.dumps(indexes).encode()
            atomic.replace(self._indexes(repository), [text], durable=False)

    @contextmanager
    def _build_lock(self, key: str, wait: float) -> Iterator[None]:
        """Hold the lock of a key. Go on without it once the capture exists, or after ``wait``."""
        lock = self.folder / "locks" / _bucket(key.encode())
        with ExitStack() as stack:
            with suppress(OSError):  # a file system without locks: each process builds alone
                stack.enter_context(locks.locked(lock, wait=wait, unless=self._capture(key).exists))
            yield

    def _capture(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a key.")
        return self.folder / "captures" / key

    def _indexes(self, repository: Path) -> Path:
        return self.folder / "indexes" / _bucket(os.fsencode(repository))

    def _sweep(self) -> None:
        """Remove old temporary files, and the least recently used captures beyond the limit."""
        captures = []
        total = 0
        for path in (self.folder / "captures").iterdir():
            info = path.lstat()
            if path.name.startswith(".") and info.st_mtime < time.time() - _OLD:
                path.unlink(missing_ok=True)
            elif not path.name.startswith("."):
                captures.append((info.st_mtime, info.st_size, path))
                total += info.st_size
        for _, size, path in sorted(captures)[:-1]:
            if total <= LIMIT:
                break
            path.unlink(missing_ok=True)
            total -= size


def retry(attempt: Callable[[], T], when: type[Exception]) -> T:
    """Return the result of ``attempt``, called up to three times while it raises ``when``."""
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
        with open(path, "rb", buffering=0, opener=atomic.no_follow) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(_START)
            line = start.index(b"\n") + 1
            check, length = map(int, start[:line].split())
            begin = line + length
            if not line <= begin <= size:
                return None
            file.seek(line)
            facts = file.read(length)
            # One read and no copy: it may be tens of megabytes.
            filling = file.read(size - begin)
        if zlib.crc32(filling, zlib.crc32(facts)) != check:
            return None
        return _built(filling, json.loads(facts))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, BadSnapshot):
        return None


def _built(filling: bytes, facts: Mapping[str, object]) -> Built:
    """Return the capture in a cache file. ``_read`` lists the errors for a malformed one."""
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
