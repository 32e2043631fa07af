"""The bundle of a captured commit: cut its history, pack it."""

import hashlib
import io
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from jellyml.capture.history_limits import HistoryLimits, cost_of_counting
from jellyml.errors import GitError, TookTooLong
from jellyml.repo.git import Git
from jellyml.snapshot import serialization
from jellyml.working_tree.scan import Scan
from jellyml.working_tree.scratch import Scratch

History = Literal["auto", "full", "none"] | int

# Bytes of original commits in a manifest. The newest are kept: a load into a repository that
# has their parents needs no others.
_TEXTS = 500_000
AS_ASKED = "as asked"
_BLOCK = 1 << 20
_PACK = ("pack-objects", "--revs", "--stdout", "--delta-base-offset", "--window=0", "-q")


class BundleWriter:
    """A bundle in memory, with space for the header of a filling before it."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._file.write(bytes(serialization.HEADER_SIZE))
        self._digest = hashlib.sha256()

    @property
    def size(self) -> int:
        """Bytes of the bundle so far."""
        return self._file.tell() - serialization.HEADER_SIZE

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)

    def finished(
        self, *, commit: str, stands_for: str | None = None, object_format: str | None = None
    ) -> bytes:
        """Return the filling; ``commit`` is the bundle's ``HEAD``. No write may follow."""
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
    """A bundle; ``texts`` maps the ids of the original commits of a cut history to their text."""

    bundle: BundleWriter
    commit: str
    cut: str = ""  # the reason, to end a message
    texts: Mapping[str, bytes] = field(default_factory=dict)


def pack(
    scratch: Scratch, scan: Scan, commit: str, history: History, limits: HistoryLimits
) -> Packed:
    """Return a bundle of ``commit`` with the requested history.

    Raise GitError if git fails, or ``history`` is "full" in a shallow clone.
    """
    reason = ""
    if history == "full" or history == "auto":
        shallow = (scan.repository.common_dir / "shallow").exists()
        if shallow and history == "full":
            raise GitError(
                "The history of this repository is itself cut (a shallow clone).",
                "git fetch --unshallow, or ask for history='auto'.",
            )
        try:
            if not shallow:
                return Packed(_history(scratch, scan, commit, history, limits), commit)
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
    """Return a bundle of a commit in ``place`` with ``keep`` commits below it."""
    return _cut(place, _newest_commits(place.git, commit, keep + 1), AS_ASKED)


class _GivenUpError(Exception):
    """The full history exceeds the limits, or git cannot pack it; the text is the reason."""


def _history(
    scratch: Scratch, scan: Scan, commit: str, history: History, limits: HistoryLimits
) -> BundleWriter:
    if history == "full":
        return _bundle(scratch, commit, None)
    if cost_of_counting(scan.repository.objects) > limits.objects:
        raise _GivenUpError("the repository has too many objects to count them each time")
    return _bundle(scratch, commit, limits.size)


def _bundle(scratch: Scratch, commit: str, most: int | None) -> BundleWriter:
    """Return a bundle of everything that ``commit`` reaches.

    Raise GitError if git fails. With ``most``, raise _GivenUpError instead, and if the bundle has
    more bytes.
    """
    bundle = BundleWriter()
    bundle.write(_head(commit))
    with scratch.git.start(*_PACK) as process, scratch.git.watched(process):
        with suppress(BrokenPipeError):  # git's error output, read below, has the reason
            assert process.stdin
            process.stdin.write(f"{commit}\n".encode())
            process.stdin.close()
        process.stdin = None
        assert process.stdout
        while block := os.read(process.stdout.fileno(), _BLOCK):
            bundle.write(block)
            if most is not None and bundle.size > most:
                raise _GivenUpError(f"it would take more than {most / 1_000_000:g} MB")
        try:
            scratch.git.collect(process, None)
        except TookTooLong:
            raise
        except GitError as error:
            if most is None:
                raise
            first = error.problem.splitlines()[0]
            raise _GivenUpError(f"git could not pack it ({first})") from None
    return bundle


def _head(commit: str) -> bytes:
    sha1 = len(commit) == 40
    version, capability = ("v2", "") if sha1 else ("v3", "@object-format=sha256\n")
    return f"# {version} git bundle\n{capability}{commit} HEAD\n\n".encode()


def _newest_commits(git: Git, commit: str, count: int) -> list[str]:
    """Return a commit and those below it, ``count`` in all, newest first."""
    words = ("rev-list", "--topo-order", f"--max-count={count}", commit)
    return git.run(*words).decode().split() if count else []


def _cut(scratch: Scratch, chain: list[str], why: str) -> Packed:
    """Return a bundle of ``chain``, newest first, without the commits below it.

    Idea: each commit is rewritten, oldest first, with only the parents in the chain. A
    rewritten commit has a new id, so its original text is returned for the manifest.
    """
    rewritten: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    oldest_first = chain[::-1]
    texts_of = scratch.git.read_objects(oldest_first)
    for one, text in zip(oldest_first, texts_of, strict=True):
        new_text = _rewritten_text(text, rewritten)
        rewritten[one] = commit_id(new_text, one)
        if rewritten[one] != one:
            texts[one] = text
            scratch.keep_commit(new_text, rewritten[one])
    tip = rewritten[chain[0]]
    return Packed(_bundle(scratch, tip, None), tip, why if texts else "", _newest(texts))


def _newest(texts: dict[str, bytes]) -> dict[str, bytes]:
    """Return the last texts that fit into a manifest, in their order; one at least."""
    newest: dict[str, bytes] = {}
    room = _TEXTS
    for oid, text in reversed(texts.items()):
        room -= len(text)
        if room < 0 and newest:
            break
        newest[oid] = text
    return dict(reversed(newest.items()))


_HEADER = re.compile(rb"([\w-]+) [^\n]*\n(?: [^\n]*\n)*")


def _rewritten_text(text: bytes, rewritten: Mapping[str, str]) -> bytes:
    """Return a commit's text with only the parents in ``rewritten``, by their new ids.

    A changed commit loses its signature, which would no longer be valid.
    """
    head, _, message = text.partition(b"\n\n")
    lines = []
    changed = False
    signed = (b"gpgsig", b"mergetag")
    for match in _HEADER.finditer(head + b"\n"):
        name, line = match[1], match[0]
        if name == b"parent":
            parent = line[7:].strip().decode()
            new = rewritten.get(parent)
            changed |= new != parent
            if new:
                lines.append(b"parent %s\n" % new.encode())
        else:
            lines.append(line)
    if not changed:
        return text
    unsigned = [line for line in lines if not line.startswith(signed)]
    return b"".join(unsigned) + b"\n" + message


def commit_id(text: bytes, like: str) -> str:
    """Return the id of a commit with this text, in the object format of the id ``like``."""
    algorithm = "sha1" if len(like) == 40 else "sha256"
    return hashlib.new(algorithm, b"commit %d\0" % len(text) + text).hexdigest()
