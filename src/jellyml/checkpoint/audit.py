"""All of the code in a bundle, looked through for what should not leave this machine with it."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from jellyml import throwaway
from jellyml.checkpoint import MANIFEST_SIDECAR
from jellyml.code import credentials, thorough
from jellyml.code.data import looks_like_data
from jellyml.code.guard import is_checkpoint
from jellyml.code.inside import File, Inside
from jellyml.code.selection import MAX_FILE_SIZE

_IN_MEMORY = 16 << 20  # bytes of one file
_PERHAPS_A_CHECKPOINT = 1_000_000
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """What should be looked at. ``line`` is None where all of the file is meant.

    ``earlier``: it is in the history alone. ``oid`` is the blob's.
    """

    path: str
    line: int | None
    what: str
    earlier: bool
    oid: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What was looked through and what was found, of 1,000 places at most.

    ``by_form`` counts the files in which only secrets with a form of their own were looked for:
    detect-secrets is not installed (``is_installed``), time was up, or it is no text for it.
    """

    files: int
    earlier: int
    by_form: int
    is_installed: bool
    places: tuple[Place, ...]


def search(inside: Inside, seconds: float) -> Searched:
    """Look through every file, and every earlier version that the history holds.

    ``seconds`` are for the thorough search; what is left then is searched by form alone.
    """
    with thorough.searching() as finds:
        looked = _Look(inside, finds, time.monotonic() + seconds)
        now = [file for file in inside.files() if file.kind in ("file", "program")]
        before = list(inside.earlier())
        places = [*looked.through(now, "now"), *looked.through(before, "before")]
        installed = finds is not None
        return Searched(len(now), len(before), looked.by_form, installed, tuple(places[:_MOST]))


class _Look:
    def __init__(self, inside: Inside, search: thorough.Search | None, until: float) -> None:
        self._inside = inside
        self._search = search
        self._until = until
        self.by_form = 0

    def through(self, files: Iterable[File], when: Literal["now", "before"]) -> Iterator[Place]:
        asked = list(files)
        small = (file for file in asked if file.size <= _IN_MEMORY)
        for file, content in self._inside.contents(small):
            for line, what in self._in(file, content):
                yield Place(file.path, line, what, when == "before", file.oid)
        for file in (file for file in asked if file.size > _IN_MEMORY):
            for line, what in self._in_large(file):
                yield Place(file.path, line, what, when == "before", file.oid)

    def _in(self, file: File, content: bytes) -> Iterator[tuple[int | None, str]]:
        if len(content) > _PERHAPS_A_CHECKPOINT:
            with throwaway.folder() as place:
                (place / "file").write_bytes(content)
                if is_checkpoint(place / "file"):
                    yield None, "a checkpoint"
                elif looks_like_data(os.fsencode(file.path), file.size):
                    yield None, "data"
        told = set[int]()
        for line, kind in credentials.in_content(content):
            told.add(line)
            yield line, kind
        ours = PurePosixPath(file.path).name == MANIFEST_SIDECAR  # digests look random
        fit = not ours and thorough.is_fit(content)
        if self._search and time.monotonic() < self._until and fit:
            for line, kind in self._search(file.path, content):
                if line not in told:
                    yield line, kind
        else:
            self.by_form += 1

    def _in_large(self, file: File) -> Iterator[tuple[int | None, str]]:
        self.by_form += 1
        with throwaway.folder() as folder:
            place = folder / "file"
            with place.open("xb") as copy:
                copy.writelines(self._inside.content(file))
            if is_checkpoint(place):
                yield None, "a checkpoint"
            elif file.size > MAX_FILE_SIZE:
                yield None, "a large file"
            elif looks_like_data(os.fsencode(file.path), file.size):
                yield None, "data"
            yield from credentials.in_content(place)
