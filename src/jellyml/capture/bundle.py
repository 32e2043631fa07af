"""The bundle of a captured commit: cut its history, pack it, and search it for credentials."""

import hashlib
import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Literal

from jellyml.errors import GitError, TookTooLong
from jellyml.repo.git import Git, kill
from jellyml.secrets.patterns import in_content
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import Credential
from jellyml.working_tree.contents import Contents
from jellyml.working_tree.scan import SYMLINK, Scan
from jellyml.working_tree.scratch import Scratch
from jellyml.working_tree.selection import Selection

History = Literal["auto", "full", "none"] | int

# Budget of the automatic choice: what a checkpoint may grow by, and how long counting may take.
AUTO_SIZE = 64_000_000
AUTO_SECONDS = 1.5
# Of true texts the newest are kept, within this: with their parents there they are all it takes.
_TEXTS = 500_000
AS_ASKED = "as asked"
_BLOCK = 1 << 20
_PACK = ("pack-objects", "--revs", "--stdout", "--delta-base-offset", "--window=0", "-q")

_MOST = 1000


class Growing:
    """Room for a header, and behind it a bundle as it comes."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._file.write(bytes(serialization.HEADER_SIZE))
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """Bytes of bundle so far."""
        return self._file.tell() - serialization.HEADER_SIZE

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)

    def finished(
        self, *, commit: str, stands_for: str | None = None, object_format: str | None = None
    ) -> bytes:
        """The filling, whose bundle's ``HEAD`` is ``commit``. Nothing can be written after it."""
        head = serialization.header_of(
            self.size,
            self._digest.hexdigest(),
            commit=commit,
            stands_for=stands_for,
            object_format=object_format,
        )
        self._file.seek(0)
        self._file.write(head)
        return self._file.getvalue()


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle; ``texts`` maps true commit ids to their raw text where it was cut."""

    bundle: Growing
    commit: str
    cut: str = ""  # why, as the rest of a sentence
    texts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """What the automatic choice may take: bytes of bundle, seconds to count the objects."""

    size: int = AUTO_SIZE
    seconds: float = AUTO_SECONDS


def pack(scratch: Scratch, scan: Scan, commit: str, history: History, budget: Budget) -> Packed:
    """Make a bundle of ``commit`` with as much history as asked for."""
    reason = ""
    if history == "full" or history == "auto":
        shallow = (scan.repository.common_dir / "shallow").exists()
        if shallow and history == "full":
            raise GitError(
                "The history of this repository is itself cut (a shallow clone).",
                "git fetch --unshallow, or ask for history='auto'.",
            )
        limits = budget if history == "auto" else None
        try:
            if not shallow:
                return Packed(_bundle(scratch, commit, limits), commit)
            reason = "this is a shallow clone"
        except _GivenUpError as error:
            reason = str(error)
    chain = [commit]
    if isinstance(history, int) and scan.head:
        # The user's own git: in a shallow clone it knows where history ends.
        below = _newest_commits(scan.repository.git, scan.head, history + (commit == scan.head))
        chain += [one for one in below if one != commit]
    return _cut(scratch, chain, reason or AS_ASKED)


def recut(place: Scratch, commit: str, keep: int) -> Packed:
    """Make a bundle of a commit that lies in ``place`` with ``keep`` commits below it."""
    return _cut(place, _newest_commits(place.git, commit, keep + 1), AS_ASKED)


class _GivenUpError(Exception):
    """The whole history is not to be had within the budget: why, as the rest of a sentence."""


def _bundle(scratch: Scratch, commit: str, budget: Budget | None) -> Growing:
    """All that ``commit`` reaches; without a budget errors of git are raised as they are."""
    bundle = Growing()
    bundle.write(_head(commit))
    with scratch.git.start(*_PACK) as process, scratch.git.watched(process):
        with suppress(BrokenPipeError):  # its own words, read below, say why it went
            assert process.stdin
            process.stdin.write(f"{commit}\n".encode())
            process.stdin.close()
        process.stdin = None
        assert process.stdout
        for block in _blocks(process.stdout, budget, partial(kill, process)):
            bundle.write(block)
            if budget and bundle.size > budget.size:
                raise _GivenUpError(f"it would take more than {budget.size / 1_000_000:g} MB")
        try:
            scratch.git.collect(process, None)
        except TookTooLong:
            raise
        except GitError as error:
            if budget is None:
                raise
            first = error.problem.splitlines()[0]
            raise _GivenUpError(f"git could not pack it ({first})") from None
    return bundle


def _head(commit: str) -> bytes:
    sha1 = len(commit) == 40
    version, capability = ("v2", "") if sha1 else ("v3", "@object-format=sha256\n")
    return f"# {version} git bundle\n{capability}{commit} HEAD\n\n".encode()


def _blocks(output: IO[bytes], budget: Budget | None, stop: Callable[[], None]) -> Iterator[bytes]:
    """What git prints, a little at a time: the first comes when it has counted the objects."""
    seconds = budget.seconds if budget else threading.TIMEOUT_MAX
    counting = threading.Timer(seconds, stop)
    began = time.monotonic()
    if budget:
        counting.start()
    block = os.read(output.fileno(), _BLOCK)
    counting.cancel()
    if time.monotonic() - began > seconds:  # the timer's thread may come late
        raise _GivenUpError(f"it took more than {seconds:g} s to count")
    while block:
        yield block
        block = os.read(output.fileno(), _BLOCK)


def _newest_commits(git: Git, commit: str, count: int) -> list[str]:
    """A commit and what is below it, ``count`` in all; newest first."""
    words = ("rev-list", "--topo-order", f"--max-count={count}", commit)
    return git.run(*words).decode().split() if count else []


def _cut(scratch: Scratch, chain: list[str], why: str) -> Packed:
    """Rewrite commits, newest first, so that nothing beyond them is needed; bundle the newest."""
    rewritten: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    oldest_first = chain[::-1]
    texts_of = scratch.git.read_objects(oldest_first)
    for one, text in zip(oldest_first, texts_of, strict=True):
        stand_in = _stand_in(text, rewritten)
        rewritten[one] = commit_id(stand_in, one)
        if rewritten[one] != one:
            texts[one] = text
            scratch.keep_commit(stand_in, rewritten[one])
    tip = rewritten[chain[0]]
    return Packed(_bundle(scratch, tip, None), tip, why if texts else "", _newest(texts))


def _newest(texts: dict[str, bytes]) -> dict[str, bytes]:
    """As many of the texts, from the last back, as a manifest may hold; in order."""
    kept: dict[str, bytes] = {}
    room = _TEXTS
    for oid, text in reversed(texts.items()):
        room -= len(text)
        if room < 0 and kept:
            break
        kept[oid] = text
    return dict(reversed(kept.items()))


_HEADER = re.compile(rb"([\w-]+) [^\n]*\n(?: [^\n]*\n)*")


def _stand_in(text: bytes, rewritten: Mapping[str, str]) -> bytes:
    """A commit's text with the parents we carry, rewritten, and no others."""
    head, _, message = text.partition(b"\n\n")
    kept = []
    changed = False
    signed = (b"gpgsig", b"mergetag")
    for match in _HEADER.finditer(head + b"\n"):
        name, line = match[1], match[0]
        if name == b"parent":
            parent = line[7:].strip().decode()
            new = rewritten.get(parent)
            changed |= new != parent
            if new:
                kept.append(b"parent %s\n" % new.encode())
        else:
            kept.append(line)
    if not changed:
        return text
    lines = [line for line in kept if not line.startswith(signed)]
    return b"".join(lines) + b"\n" + message


def commit_id(text: bytes, like: str) -> str:
    """The id of a commit of this text, in the object format that ``like`` is of."""
    algorithm = "sha1" if len(like) == 40 else "sha256"
    return hashlib.new(algorithm, b"commit %d\0" % len(text) + text).hexdigest()


def credentials(selection: Selection, contents: Contents) -> list[Credential]:
    """What looks like a credential in files that differ from HEAD; of 1,000 at most."""
    found: list[Credential] = []
    for path, there in sorted(selection.overlay.items()):
        if there is None or there.mode == SYMLINK:
            continue
        content = contents.read(path, there)
        if content is not None:
            name = os.fsdecode(path)
            found += (Credential(name, line, kind) for line, kind in in_content(content))
        if len(found) >= _MOST:
            break
    return found[:_MOST]
