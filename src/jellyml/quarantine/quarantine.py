"""Unpack and check an untrusted bundle in a quarantine.

Idea: git unpacks it into an empty directory, with JellyML's configuration only and under limits
that the kernel enforces; then every entry of the tip is checked. Invariant: nothing of the
user's repository or files is touched.
"""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO

from jellyml.errors import BadSnapshot
from jellyml.fs import tempdirs
from jellyml.quarantine.index_pack import Unpacking, unpack
from jellyml.quarantine.pack_limits import watched
from jellyml.quarantine.tree_check import Most, Process, check_tip
from jellyml.repo.bundle_header import AGAIN, BundleHeader, read_header
from jellyml.repo.git import Git, make_bare

_CONFIG = {
    "core.bigFileThreshold": "16m",  # a larger file is never held in memory
    "core.deltaBaseCacheLimit": "32m",
    "core.packedGitLimit": "32m",
    "core.packedGitWindowSize": "8m",
    "core.fsync": "none",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
}
_UNPACKED = 4 << 30  # the limits below are for this size; a larger one raises them
_ENTRIES = 1_000_000
_MEMORY = 200 << 20
_SECONDS = 10  # plus one for each megabyte of bundle
KERNEL_LIMITS = sys.platform == "linux"  # on other systems a process cannot limit another
_PATIENCE = 3  # without kernel limits: seconds of wall clock for one of work
_RATIO = (
    256  # without kernel limits: honest history unpacks to less than this multiple of its bundle
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on memory and time for a process that reads untrusted objects."""

    memory: int
    seconds: int

    def hold(self, pid: int) -> None:
        """Have the kernel enforce the limits on a process. Does nothing without kernel limits."""
        if sys.platform == "linux":
            import resource

            limits = {resource.RLIMIT_DATA: self.memory, resource.RLIMIT_CPU: self.seconds}
            for kind, value in (limits | {resource.RLIMIT_CORE: 0}).items():
                hard = resource.getrlimit(kind)[1]  # inherited from this process
                value = min(value, sys.maxsize if hard == resource.RLIM_INFINITY else hard)
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, kind, (value, value))


@dataclass(frozen=True, slots=True)
class VerifiedCode:
    """A bundle that passed all checks. It is removed at the end of the ``quarantined`` block."""

    commit: str
    tree: str
    git: Git  # isolated, running in the quarantine
    objects: Path
    object_format: str
    files: int  # including symlinks
    entries: int  # files, folders and submodules
    size: int  # bytes, once written
    names_that_fold: tuple[str, ...]  # names that some file systems treat as equal to a sibling's
    has_rules: bool  # the tree contains attributes files
    limits: Limits  # for every other process that reads these objects


class Quarantine:
    """A bundle that is being unpacked and checked while the caller does other work."""

    def __init__(
        self, header: BundleHeader, limited: "_Limited", unpacking: Unpacking, most: Most
    ) -> None:
        self._limited = limited
        self._unpacking = unpacking
        self._most = most
        self.commit = header.head
        self.object_format = header.object_format
        self.objects = limited.git.folder / "objects"

    @cached_property
    def incoming(self) -> VerifiedCode:
        """Wait for the bundle and return its verified code. Raises BadSnapshot, GitError."""
        self._unpacking.wait()
        git, limits = self._limited.git, self._limited.limits
        reading = replace(self._limited, limits=replace(limits, seconds=limits.seconds // 4))
        tip = check_tip(reading.start, self.commit, self._most, git.folder)
        return VerifiedCode(
            self.commit,
            tip.tree,
            git,
            self.objects,
            self.object_format,
            tip.files,
            tip.entries,
            tip.size,
            tip.names_that_fold,
            tip.has_rules,
            limits,
        )


@contextmanager
def quarantined(
    bundle: Iterable[bytes],
    *,
    size: int,
    folder: Path | None = None,
    max_unpacked: int = _UNPACKED,
    max_entries: int = _ENTRIES,
) -> Iterator[VerifiedCode]:
    """Do the same as ``unpacking``, for a caller that only waits for the result."""
    limits = {"max_unpacked": max_unpacked, "max_entries": max_entries}
    with unpacking(bundle, size=size, folder=folder, **limits) as quarantine:
        yield quarantine.incoming


@contextmanager
def unpacking(
    bundle: Iterable[bytes],
    *,
    size: int,
    folder: Path | None = None,
    max_unpacked: int = _UNPACKED,
    max_entries: int = _ENTRIES,
) -> Iterator[Quarantine]:
    """Unpack and check the first ``size`` bytes of ``bundle`` in the background.

    Raises BadSnapshot immediately for a bad header; ``Quarantine.incoming`` raises all other
    errors. Another thread reads ``bundle``. The quarantine is created in ``folder``, by default
    the system's temporary folder.
    """
    header, pack = read_header(_exactly(bundle, size))
    scale = max(1, max_unpacked / _UNPACKED)
    limits = Limits(int(scale * _MEMORY), int(scale * (_SECONDS + (size >> 20))))
    if not KERNEL_LIMITS:
        work = max_unpacked + _RATIO * size
        pack = watched(pack, size, header.object_format, memory=limits.memory, work=work)
    tempdirs.sweep()
    with tempdirs.folder(folder) as place:
        directory = place.absolute()
        make_bare(directory, header.object_format)
        git = Git(directory, directory=directory, config=_CONFIG, isolated=True)
        limited = _Limited(git, limits)
        with unpack(limited.start, pack, size - header.size, directory) as unpacking:
            yield Quarantine(header, limited, unpacking, Most(max_unpacked, max_entries))


def _exactly(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield exactly ``size`` bytes; drop what follows, and raise BadSnapshot for fewer."""
    source = iter(pieces)
    while size > 0:
        piece = next(source, None)
        if piece is None:
            raise BadSnapshot(
                "The code in this checkpoint is cut off: it is shorter than it says.", AGAIN
            )
        yield piece[:size]
        size -= len(piece)
    next(source, None)  # an iterator that verifies a digest does so at its end


@dataclass(frozen=True, slots=True)
class _Limited:
    """Git with limits."""

    git: Git
    limits: Limits

    @contextmanager
    def start(self, *args: str, stdout: IO[bytes] | None = None) -> Iterator[Process]:
        """Start a command. The limits apply before it reads any untrusted byte."""
        with self.git.start(*args, stdout=stdout) as process:
            stop = threading.Timer(_PATIENCE * self.limits.seconds, process.kill)
            if KERNEL_LIMITS:
                self.limits.hold(process.pid)
            else:
                stop.start()
            try:
                yield process
            finally:
                stop.cancel()
