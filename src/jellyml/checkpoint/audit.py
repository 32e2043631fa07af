"""Search the code in a checkpoint for credentials, data and other checkpoints."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from jellyml.capture.settings import weaker_in
from jellyml.checkpoint.reader import CheckpointReader
from jellyml.fs import tempdirs
from jellyml.quarantine.reader import File, Inside
from jellyml.remote.address import parse_location
from jellyml.secrets import detect_secrets
from jellyml.secrets import search as forms
from jellyml.secrets.places import COMMITS, Place, in_commits, in_names, in_target
from jellyml.snapshot.serialization import MANIFEST_SIDECAR
from jellyml.working_tree.exclude import is_checkpoint, looks_like_data
from jellyml.working_tree.selection import MAX_FILE_SIZE

if TYPE_CHECKING:
    from os import PathLike

_IN_MEMORY = 16 << 20  # bytes of one file
_LARGEST_SETTINGS = 1 << 20
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
        every = list(inside.files())
        now = [file for file in every if file.kind in ("file", "program")]
        before = list(inside.earlier())
        places = [
            *look.through(now, "now"),
            *look.around(every),
            *look.through(before, "before"),
            *look.through_history(every),
        ]
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
                yield Match(forms.masked_text(file.path), line, what, when == "before", file.oid)
        for file in (file for file in files if file.size > _IN_MEMORY):
            for line, what in self._in_large(file):
                yield Match(forms.masked_text(file.path), line, what, when == "before", file.oid)

    def around(self, files: Sequence[File]) -> Iterator[Match]:
        """Yield the matches in the names of files, and in the targets of links."""
        yield from self._outside(in_names(file.path for file in files), earlier=False)
        links = (file for file in files if file.kind == "symlink" and file.size <= _IN_MEMORY)
        for file, target in self._inside.contents(links):
            yield from self._outside(in_target(file.path, target), earlier=False, oid=file.oid)

    def through_history(self, files: Iterable[File]) -> Iterator[Match]:
        """Yield the matches in commits, and in the names that only the history has."""
        current = {name for file in files for name in file.path.split("/")}
        names = (
            path for path in self._inside.earlier_names() if path.rpartition("/")[2] not in current
        )
        yield from self._outside(in_names(names), earlier=True)
        for block in _records(self._inside.commits(*COMMITS)):
            yield from self._outside(in_commits(block), earlier=True)

    @staticmethod
    def _outside(places: Iterable[Place], *, earlier: bool, oid: str = "") -> Iterator[Match]:
        for place in places:
            yield Match(place.path, place.line, place.kind, earlier, oid)

    def _in(self, file: File, content: bytes) -> Iterator[tuple[int | None, str]]:
        if len(content) > _PERHAPS_A_CHECKPOINT:
            with tempdirs.folder() as folder:
                (folder / "file").write_bytes(content)
                if is_checkpoint(folder / "file"):
                    yield None, "a checkpoint"
                elif looks_like_data(os.fsencode(file.path), file.size):
                    yield None, "data"
        lines = set[int]()
        for line, kind in forms.in_content(content):
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
            yield from forms.in_content(path)


def _records(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that end with a NUL."""
    rest = b""
    for piece in pieces:
        records, mark, rest = (rest + piece).rpartition(b"\0")
        yield records + mark
    yield rest


@dataclass(frozen=True, slots=True)
class Checked(Searched):
    """The result for a checkpoint, its commit, and the settings in its code that weaken a guard.

    The search ignores these settings.
    """

    commit: str | None
    settings: tuple[str, ...] = ()


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
            tuple(_settings(model.inside)),
        )


def _settings(inside: Inside) -> Iterator[str]:
    """Yield a sentence for each setting in the code that weakens a guard of a later fill."""
    files = (
        file
        for file in inside.files()
        if PurePosixPath(file.path).name == "pyproject.toml" and file.size <= _LARGEST_SETTINGS
    )
    for file, text in inside.contents(files):
        yield from weaker_in(file.path, text)
