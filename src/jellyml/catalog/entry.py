"""One checkpoint as a line of a list: what its records say, read without reading the code."""

import hashlib
import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from jellyml.catalog.find import Candidate
from jellyml.checkpoint.bounded_file import NotSearched
from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.errors import JellyError, NoSnapshot
from jellyml.formats import unknown
from jellyml.formats.registry import format_of
from jellyml.remote.address import Remote
from jellyml.snapshot.manifest import Manifest

_HEAD = 8 << 10
# What text has none of. Weights begin with lengths and numbers, whose bytes are such.
_NEVER_IN_TEXT = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b"})
_WEIGHTS = 1_000_000  # bytes from which a file in a format for weights is called a checkpoint
_RUN = 12


@dataclass(frozen=True)
class Entry:
    """A checkpoint that carries code. What it says is a stranger's text, of any length."""

    path: Path | Remote
    format: str
    size: int
    checkpoint: Checkpoint
    manifest: Manifest

    @property
    def created(self) -> str | None:
        """When the code was captured, in UTC."""
        return self.manifest.created

    @cached_property
    def commit(self) -> str | None:
        """The snapshot's; the true one where the history was cut."""
        header = self.checkpoint.header
        return header.stands_for or header.commit or self.manifest.commit

    @property
    def base(self) -> str | None:
        """The commit that HEAD was at."""
        return self.manifest.base

    @property
    def branch(self) -> str | None:
        return self.manifest.branch

    @property
    def changed(self) -> int | None:
        """How many paths differed from ``base``; None where that was not recorded."""
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
        """Alike for what one run saved with the code of its start."""
        marks = (self.created, self.host, self.command, self.commit)
        return hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:_RUN]

    @property
    def bundle(self) -> str | None:
        """The digest of the bundle that carries the code."""
        return self.checkpoint.header.sha256 or self.manifest.bundle_sha256


@dataclass(frozen=True, slots=True)
class Without:
    """What holds weights and no code; ``searched`` where that is sure."""

    path: Path | Remote
    searched: bool = True


def look(place: Candidate) -> Entry | Without | JellyError | None:
    """What a place turns out to be; None for what is no checkpoint. Raises nothing."""
    seen = _look(place)
    if isinstance(place.path, Remote):
        place.path.forget()
    return seen


def _look(place: Candidate) -> Entry | Without | JellyError | None:
    try:
        if not place.asked and isinstance(place.path, Path) and _is_text(place.path):
            return None
        checkpoint = Checkpoint.glance(place.path)
        manifest = Manifest(checkpoint.manifest)
    except NotSearched as problem:
        return problem if place.asked else _without(place, searched=False)
    except NoSnapshot as problem:
        return problem if place.asked else _without(place, searched=True)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        return JellyError(f"{place.path} could not be read: {reason}.")
    except JellyError as problem:
        return problem
    size = place.size
    if isinstance(place.path, Remote) and place.asked:
        size = place.path.file().size
    return Entry(place.path, checkpoint.format, size, checkpoint, manifest)


def _without(place: Candidate, *, searched: bool) -> Without | None:
    if place.covered or place.size < _WEIGHTS:
        return None
    with suppress(JellyError):
        if isinstance(place.path, Remote):
            known = format_of(cast("BinaryIO", place.path.file())) is not unknown
        else:
            with place.path.open("rb", buffering=0) as file:
                known = format_of(file) is not unknown
        return Without(place.path, searched) if known else None
    return None


def _is_text(path: Path) -> bool:
    if path.is_dir():
        return False
    with path.open("rb", buffering=0) as file:
        head: bytes = file.read(_HEAD)
    return len(head.translate(None, _NEVER_IN_TEXT)) == len(head)
