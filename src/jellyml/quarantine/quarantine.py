"""Somebody else's bundle: whether it is good, found out in a quarantine.

Git unpacks it into an empty directory, with no configuration but ours and under limits that
the kernel holds. Then the tip is looked at, entry by entry. Nothing of the user's is touched.
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
_UNPACKED = 4 << 30  # what the limits below are meant for; more raises them
_ENTRIES = 1_000_000
_MEMORY = 200 << 20
_SECONDS = 10  # and one for each megabyte of bundle
KERNEL_LIMITS = sys.platform == "linux"  # elsewhere no process can limit another
_PATIENCE = 3  # there: seconds on the clock for one of work
_RATIO = 256  # there: honest history unpacks to less than so many times its bundle


@dataclass(frozen=True, slots=True)
class Limits:
    """How much memory and time a process that reads a stranger's objects may take."""

    memory: int
    seconds: int

    def hold(self, pid: int) -> None:
        """Have the kernel stop a process beyond them; does nothing where no kernel can."""
        if sys.platform == "linux":
            import resource

            limits = {resource.RLIMIT_DATA: self.memory, resource.RLIMIT_CPU: self.seconds}
            for kind, value in (limits | {resource.RLIMIT_CORE: 0}).items():
                hard = resource.getrlimit(kind)[1]  # the process has it from us
                value = min(value, sys.maxsize if hard == resource.RLIM_INFINITY else hard)
                with suppress(ProcessLookupError):
                    resource.prlimit(pid, kind, (value, value))


@dataclass(frozen=True, slots=True)
class VerifiedCode:
    """A bundle that was found good. It is gone when the ``quarantined`` block is left."""

    commit: str
    tree: str
    git: Git  # isolated, on the quarantine
    objects: Path
    object_format: str
    files: int  # symlinks too
    entries: int  # files, folders and submodules
    size: int  # bytes, once written
    names_that_fold: tuple[str, ...]  # some file systems take them for others beside them
    has_rules: bool  # attributes files among them
    limits: Limits  # for whatever else reads these objects


class Quarantine:
    """Where a bundle is being unpacked and checked, while its user does other things."""

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
        """The bundle, once it was found good. Raises BadSnapshot, GitError."""
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
    """As ``unpacking``, for who has nothing else to do until it is done."""
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
    """Unpack and check the first ``size`` bytes of ``bundle``, beside what the caller does.

    Raises BadSnapshot at once if its header is bad, and what ``Quarantine.incoming`` raises
    when that is asked for. ``bundle`` is read by another thread. The quarantine is made in
    ``folder``, by default the system's temporary one.
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
    """``size`` bytes: what lies beyond is cut off, less is refused."""
    source = iter(pieces)
    while size > 0:
        piece = next(source, None)
        if piece is None:
            raise BadSnapshot(
                "The code in this checkpoint is cut off: it is shorter than it says.", AGAIN
            )
        yield piece[:size]
        size -= len(piece)
    next(source, None)  # whoever checks a digest does so at its end


@dataclass(frozen=True, slots=True)
class _Limited:
    """Git under limits."""

    git: Git
    limits: Limits

    @contextmanager
    def start(self, *args: str, stdout: IO[bytes] | None = None) -> Iterator[Process]:
        """A running command. It has read nothing hostile when the limits begin to hold."""
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
