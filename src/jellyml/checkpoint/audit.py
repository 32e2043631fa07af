"""Search the code in a checkpoint for credentials, data and other checkpoints."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from jellyml.checkpoint.reader import CheckpointReader
from jellyml.fs import tempdirs
from jellyml.quarantine.reader import File, Inside
from jellyml.remote.address import parse_location
from jellyml.secrets import detect_secrets, patterns
from jellyml.snapshot.serialization import MANIFEST_SIDECAR
from jellyml.working_tree.exclude import is_checkpoint, looks_like_data
from jellyml.working_tree.selection import MAX_FILE_SIZE

if TYPE_CHECKING:
    from os import PathLike

_IN_MEMORY = 16 << 20  # bytes of one file
_PERHAPS_A_CHECKPOINT = 1_000_000
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Match:
    """A problem in a file. ``line`` is None for the whole file.

    ``earlier`` if only the history contains it. ``oid`` is that of the blob.
    """

    path: str
    line: int | None
    what: str
    earlier: bool
    oid: str


@dataclass(frozen=True, slots=True)
class Searched:
    """How many files were searched, and the first 1,000 matches.

    ``by_form`` counts the files that were searched for known forms of credentials only:
    detect-secrets is not installed (``is_installed``), time ran out, or the file is not text.
    """

    files: int
    earlier: int
    by_form: int
    is_installed: bool
    places: tuple[Match, ...]


def search(inside: Inside, seconds: float) -> Searched:
    """Search every file, and every earlier version in the history.

    After ``seconds``, the rest is searched for known forms of credentials only.
    """
    with detect_secrets.searching() as finds:
        look = _Look(inside, finds, time.monotonic() + seconds)
        now = [file for file in inside.files() if file.kind in ("file", "program")]
        before = list(inside.earlier())
        places = [*look.through(now, "now"), *look.through(before, "before")]
        installed = finds is not None
        return Searched(len(now), len(before), look.by_form, installed, tuple(places[:_MOST]))


class _Look:
    def __init__(self, inside: Inside, search: detect_secrets.Search | None, until: float) -> None:
        self._inside = inside
        self._search = search
        self._until = until
        self.by_form = 0

    def through(self, files: Iterable[File], when: Literal["now", "before"]) -> Iterator[Match]:
        files = list(files)
        small = (file for file in files if file.size <= _IN_MEMORY)
        for file, content in self._inside.contents(small):
            for line, what in self._in(file, content):
                yield Match(file.path, line, what, when == "before", file.oid)
        for file in (file for file in files if file.size > _IN_MEMORY):
            for line, what in self._in_large(file):
                yield Match(file.path, line, what, when == "before", file.oid)

    def _in(self, file: File, content: bytes) -> Iterator[tuple[int | None, str]]:
        if len(content) > _PERHAPS_A_CHECKPOINT:
            with tempdirs.folder() as folder:
                (folder / "file").write_bytes(content)
                if is_checkpoint(folder / "file"):
                    yield None, "a checkpoint"
                elif looks_like_data(os.fsencode(file.path), file.size):
                    yield None, "data"
        lines = set[int]()
        for line, kind in patterns.in_content(content):
            lines.add(line)
            yield line, kind
        ours = PurePosixPath(file.path).name == MANIFEST_SIDECAR  # digests look random
        fit = not ours and detect_secrets.is_fit(content)
        if self._search and time.monotonic() < self._until and fit:
            for line, kind in self._search(file.path, content):
                if line not in lines:
                    yield line, kind
        else:
            self.by_form += 1

    def _in_large(self, file: File) -> Iterator[tuple[int | None, str]]:
        self.by_form += 1
        with tempdirs.folder() as folder:
            path = folder / "file"
            with path.open("xb") as copy:
                copy.writelines(self._inside.content(file))
            if is_checkpoint(path):
                yield None, "a checkpoint"
            elif file.size > MAX_FILE_SIZE:
                yield None, "a large file"
            elif looks_like_data(os.fsencode(file.path), file.size):
                yield None, "data"
            yield from patterns.in_content(path)


@dataclass(frozen=True, slots=True)
class Checked(Searched):
    """The result for a checkpoint, and the commit of its code."""

    commit: str | None


def check(path: "str | PathLike[str]", *, seconds: float = 60.0) -> Checked:
    """Search the code in a checkpoint, including its history.

    seconds  for detect-secrets (the extra ``secrets``); after that, the rest is searched for known
             forms of credentials only

    A match has file, line and kind of a credential, never the credential itself. Other checkpoints,
    data of over 1 MB and files over 50 MB are reported too. Raises NoSnapshot, BadSnapshot,
    GitError.
    """
    with CheckpointReader(parse_location(path)) as model:
        result = search(model.inside, seconds)
        return Checked(
            result.files,
            result.earlier,
            result.by_form,
            result.is_installed,
            result.places,
            model.commit,
        )
