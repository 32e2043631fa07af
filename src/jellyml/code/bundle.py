"""Somebody else's bundle: whether it is good, found out in a quarantine.

Git unpacks it into an empty directory, with no configuration but ours and under limits that
the kernel holds. Then the tip is looked at, entry by entry. Nothing of the user's is touched.
"""

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO

from jellyml import throwaway
from jellyml.code.pack_walk import watched
from jellyml.code.repository import Git
from jellyml.code.scratch import make_bare
from jellyml.code.tree_check import Most, Process, check_tip, takes_too_much
from jellyml.errors import BadSnapshot, GitError

_CONFIG = {
    "core.bigFileThreshold": "16m",  # a larger file is never held in memory
    "core.deltaBaseCacheLimit": "32m",
    "core.packedGitLimit": "32m",
    "core.packedGitWindowSize": "8m",
    "core.fsync": "none",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
}
# What honest old repositories are full of. All of these are known to git 2.34: an unknown
# one would be fatal.
_BLEMISHES = (
    "badDate", "badDateOverflow", "badEmail", "badFilemode", "badName", "badTimezone",
    "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail", "multipleAuthors", "nulInCommit", "zeroPaddedDate",
    "zeroPaddedFilemode",
)  # fmt: skip
_STRICT = "--strict=" + ",".join(f"{each}=ignore" for each in _BLEMISHES)

_UNPACKED = 4 << 30  # what the limits below are meant for; more raises them
_ENTRIES = 1_000_000
_MEMORY = 200 << 20
_SECONDS = 10  # and one for each megabyte of bundle
KERNEL_LIMITS = sys.platform == "linux"  # elsewhere no process can limit another
_PATIENCE = 3  # there: seconds on the clock for one of work
_RATIO = 256  # there: honest history unpacks to less than so many times its bundle

_HEADER = 4 << 20
_LINE = 4096
_REF = re.compile(rb"([0-9a-f]+) (.+)", re.DOTALL)
_SIGNATURE = re.compile(rb"# v(\d+) git bundle")
_WIDTHS = {"sha1": 40, "sha256": 64}

_INCOMPLETE = (
    "The code in this checkpoint is incomplete: it builds on commits or files it does not hold."
)
_AGAIN = "get the checkpoint again: it may have been cut off or altered on its way."


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
class Incoming:
    """A bundle that was found good. It is gone when the ``quarantined`` block is left."""

    commit: str
    tree: str
    git: Git  # isolated, on the quarantine
    objects: Path
    object_format: str
    entries: int  # files and folders
    size: int  # bytes, once written
    names_that_fold: tuple[str, ...]  # some file systems take them for others beside them
    limits: Limits  # for whatever else reads these objects


@contextmanager
def quarantined(
    bundle: Iterable[bytes],
    *,
    size: int,
    folder: Path | None = None,
    max_unpacked: int = _UNPACKED,
    max_entries: int = _ENTRIES,
) -> Iterator[Incoming]:
    """Unpack and check the first ``size`` bytes of ``bundle``; raise BadSnapshot if it is bad.

    The quarantine is made in ``folder``, by default the system's temporary one.
    """
    header, pack = _read_header(_exactly(bundle, size))
    scale = max(1, max_unpacked / _UNPACKED)
    limits = Limits(int(scale * _MEMORY), int(scale * (_SECONDS + (size >> 20))))
    if not KERNEL_LIMITS:
        work = max_unpacked + _RATIO * size
        pack = watched(pack, size, header.object_format, memory=limits.memory, work=work)
    throwaway.sweep()
    with throwaway.folder(folder) as place:
        directory = place.absolute()
        make_bare(directory, header.object_format)
        git = Git(directory, directory=directory, config=_CONFIG, isolated=True)
        _unpack(_Limited(git, limits), pack, size - header.size)
        reading = _Limited(git, replace(limits, seconds=limits.seconds // 4))
        tip = check_tip(reading.start, header.head, Most(max_unpacked, max_entries), directory)
        yield Incoming(
            header.head,
            tip.tree,
            git,
            directory / "objects",
            header.object_format,
            tip.entries,
            tip.size,
            tip.names_that_fold,
            limits,
        )


def _exactly(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """``size`` bytes: what lies beyond is cut off, less is refused."""
    source = iter(pieces)
    while size > 0:
        piece = next(source, None)
        if piece is None:
            raise BadSnapshot(
                "The code in this checkpoint is cut off: it is shorter than it says.", _AGAIN
            )
        yield piece[:size]
        size -= len(piece)
    next(source, None)  # whoever checks a digest does so at its end


@dataclass(frozen=True, slots=True)
class _Header:
    """The lines before the pack."""

    head: str
    object_format: str
    size: int


def _read_header(pieces: Iterator[bytes]) -> tuple[_Header, Iterator[bytes]]:
    start = bytearray()
    end = -1
    for piece in pieces:
        start += piece
        end = start.find(b"\n\n", max(0, len(start) - len(piece) - 1))
        if end >= 0 or len(start) > _HEADER:
            break
    if not _SIGNATURE.match(start) or not 0 <= end <= _HEADER:
        raise BadSnapshot("The code in this checkpoint is no git bundle.", _AGAIN)
    lines = bytes(start[:end]).split(b"\n")
    head, object_format = _parse(lines)
    return _Header(head, object_format, end + 2), chain([bytes(start[end + 2 :])], pieces)


def _parse(lines: list[bytes]) -> tuple[str, str]:
    """The commit at HEAD and the object format; other refs have no say."""
    if lines[0] not in (b"# v2 git bundle", b"# v3 git bundle"):
        raise BadSnapshot(
            "The code in this checkpoint is a bundle of a newer version of git.",
            "pip install --upgrade jellyml",
        )
    object_format = "sha1"
    heads: list[bytes] = []
    for line in lines[1:]:
        if line.startswith((b"-", b"@filter=")):
            raise BadSnapshot(_INCOMPLETE)
        if line in (b"@object-format=sha1", b"@object-format=sha256"):
            object_format = line.partition(b"=")[2].decode()
            continue
        ref = _REF.fullmatch(line)
        if not ref or len(line) > _LINE:
            raise BadSnapshot("The code in this checkpoint is no git bundle.", _AGAIN)
        if ref[2] == b"HEAD":
            heads.append(ref[1])
    if [len(head) for head in heads] != [_WIDTHS[object_format]]:
        raise BadSnapshot("The bundle in this checkpoint does not say which commit is its HEAD.")
    return heads[0].decode(), object_format


@dataclass(frozen=True, slots=True)
class _Limited:
    """Git under limits."""

    git: Git
    limits: Limits

    @contextmanager
    def start(self, *args: str, stdin: IO[bytes] | None = None) -> Iterator[Process]:
        """A running command. It has read nothing hostile when the limits begin to hold."""
        with self.git.start(*args, stdin=stdin) as process:
            stop = threading.Timer(_PATIENCE * self.limits.seconds, process.kill)
            if KERNEL_LIMITS:
                self.limits.hold(process.pid)
            else:
                stop.start()
            try:
                yield process
            finally:
                stop.cancel()


def _unpack(limited: _Limited, pack: Iterator[bytes], size: int) -> None:
    """Have git check and keep every object. ``--strict`` also wants all that they refer to."""
    words = bytearray()
    with limited.start(
        "index-pack", "--stdin", "--threads=1", _STRICT, f"--max-input-size={size}"
    ) as process:
        listener = threading.Thread(target=_listen, args=(process.stderr, words), daemon=True)
        listener.start()
        _feed(process.stdin, pack)
        status = process.wait()
        listener.join()
    if status:
        raise _refusal(status, bytes(words))
    stored = (limited.git.folder / "objects" / "pack").glob("*.pack")
    if sum(each.stat().st_size for each in stored) != size:
        raise BadSnapshot("The bundle in this checkpoint goes on behind its end.", _AGAIN)


def _feed(stdin: IO[bytes] | None, pieces: Iterable[bytes]) -> None:
    assert stdin
    try:
        for piece in pieces:
            try:
                stdin.write(piece)
            except OSError:  # it has ended, and its status says why
                return
    finally:
        with suppress(OSError):
            stdin.close()


def _listen(stderr: IO[bytes] | None, words: bytearray) -> None:
    """Keep the last of what is said: unread it would block, and there may be much of it."""
    assert stderr
    with suppress(ValueError):  # closed when the feeding failed
        while line := stderr.readline(_LINE):
            words += line
            del words[:-_LINE]


def _refusal(status: int, words: bytes) -> BadSnapshot | GitError:
    """What git's words mean. They may hold bytes of the bundle, so they are not repeated."""
    if re.search(rb"No space left|Out of diskspace|quota exceeded", words):
        return GitError(
            "There is not enough disk space to look into the checkpoint.",
            "free some, or set TMPDIR to a folder that has more.",
        )
    if status < 0 or re.search(rb"(?i)out of memory", words):
        return takes_too_much()
    if b"did not receive expected object" in words or b"unresolved delta" in words:
        return BadSnapshot(_INCOMPLETE)
    bad = re.search(rb"object ([0-9a-f]{40,64}): (\w{1,40}):", words)
    if bad:
        each, fault = bad[1].decode(), bad[2].decode()
        return BadSnapshot(
            f"The bundle in this checkpoint is not to be trusted: git finds {fault} in {each}."
        )
    return BadSnapshot("The bundle in this checkpoint is damaged.", _AGAIN)
