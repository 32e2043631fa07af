"""The record of one checkpoint, read without unpacking its code."""

import hashlib
import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jellyml.catalog.find import Candidate
from jellyml.checkpoint.bounded_file import NotSearched, Sources
from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.errors import JellyError, NoSnapshot
from jellyml.formats import unknown
from jellyml.formats.registry import format_of
from jellyml.remote.address import Remote
from jellyml.snapshot.manifest import Manifest

_HEAD = 8 << 10
# Bytes that text does not contain. Weights begin with lengths and numbers, which have them.
_NEVER_IN_TEXT = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b"})
_WEIGHTS = 1_000_000  # bytes from which a file in a format for weights is called a checkpoint
_RUN = 12


@dataclass(frozen=True)
class Entry:
    """A checkpoint that carries code. Its texts are untrusted and of any length."""

    path: Path | Remote
    format: str
    size: int
    checkpoint: Checkpoint
    manifest: Manifest

    @property
    def created(self) -> str | None:
        """Return when the code was captured, in UTC."""
        return self.manifest.created

    @cached_property
    def commit(self) -> str | None:
        """Return the snapshot's commit; the original one if its history was cut."""
        header = self.checkpoint.header
        return header.stands_for or header.commit or self.manifest.commit

    @property
    def base(self) -> str | None:
        """Return the commit of HEAD at the time of the capture."""
        return self.manifest.base

    @property
    def branch(self) -> str | None:
        return self.manifest.branch

    @property
    def changed(self) -> int | None:
        """Return how many paths differed from ``base``; None if that is not recorded."""
        return self.manifest.changed

    @property
    def dirty(self) -> bool | None:
        return self.manifest.dirty

    @property
    def command(self) -> str | None:
        words = self.manifest.launched
        return shlex.join(words) if words else None

    @property
    def host(self) -> str | None:
        return self.manifest.host

    @cached_property
    def run(self) -> str:
        """Return an id that is equal for all checkpoints of one run."""
        marks = (self.created, self.host, self.command, self.commit)
        return hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:_RUN]

    @property
    def bundle(self) -> str | None:
        """Return the digest of the bundle with the code."""
        return self.checkpoint.header.sha256 or self.manifest.bundle_sha256


@dataclass(frozen=True, slots=True)
class Without:
    """A checkpoint without code; ``searched`` if the whole file was searched for it."""

    path: Path | Remote
    searched: bool = True


def look(candidate: Candidate) -> Entry | Without | JellyError | None:
    """Read a candidate. Returns None if it is not a checkpoint, errors as values."""
    sources = Sources()
    try:
        return _look(candidate, sources)
    finally:
        sources.clear()  # an Entry keeps its checkpoint, and with it what was fetched


def _look(candidate: Candidate, sources: Sources) -> Entry | Without | JellyError | None:
    try:
        if not candidate.named and isinstance(candidate.path, Path) and _is_text(candidate.path):
            return None
        checkpoint = Checkpoint.glance(candidate.path, sources)
        manifest = Manifest(checkpoint.manifest)
    except NotSearched as problem:
        return problem if candidate.named else _without(candidate, sources, searched=False)
    except NoSnapshot as problem:
        return problem if candidate.named else _without(candidate, sources, searched=True)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        return JellyError(f"{candidate.path} could not be read: {reason}.")
    except JellyError as problem:
        return problem
    size = candidate.size
    if isinstance(candidate.path, Remote) and candidate.named:
        size = sources.open(candidate.path).size
    return Entry(candidate.path, checkpoint.format, size, checkpoint, manifest)


def _without(candidate: Candidate, sources: Sources, *, searched: bool) -> Without | None:
    if candidate.covered or candidate.size < _WEIGHTS:
        return None
    with suppress(JellyError):
        with sources.open(candidate.path).open() as file:
            known = format_of(file) is not unknown
        return Without(candidate.path, searched) if known else None
    return None


def _is_text(path: Path) -> bool:
    if path.is_dir():
        return False
    with path.open("rb", buffering=0) as file:
        head: bytes = file.read(_HEAD)
    return len(head.translate(None, _NEVER_IN_TEXT)) == len(head)
