"""Find credentials in what a capture packs: changed files, all names, and all commits.

The commits are searched while git packs them, so that the search takes no time of its own.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from jellyml.repo.git import Git
from jellyml.secrets.places import COMMITS, Place, in_commits, in_names, in_target
from jellyml.secrets.search import in_content, masked_text
from jellyml.snapshot.facts import Credential
from jellyml.working_tree.contents import Contents
from jellyml.working_tree.scan import SYMLINK
from jellyml.working_tree.selection import Selection

MOST = 1000  # credentials that are listed
SEARCH = "secrets-2"  # changes with the search: a cached capture of an older one is not used
_BLOCK = 1 << 20


class PackedSearch(Protocol):
    """A function of the commit that was packed. It returns what the search of it found."""

    def __call__(self, packed: str) -> list[Place]: ...


@contextmanager
def searching(git: Git, commit: str, *, whole: bool) -> Iterator[PackedSearch]:
    """Search the names and the commits that ``commit`` reaches while the block runs.

    If another commit was packed, because the history was cut, that one is searched instead.
    ``whole`` is False if that is known beforehand. The function raises any error of the search.
    """
    stop = threading.Event()
    results: list[list[Place] | Exception] = []

    def work() -> None:
        try:
            results.append(_search(git, commit, stop))
        except Exception as error:  # noqa: BLE001 (the caller raises it, if it needs the result)
            results.append(error)

    thread = threading.Thread(target=work)
    if whole:
        thread.start()

    def result(packed: str) -> list[Place]:
        if not whole or packed != commit:
            stop.set()
            return _search(git, packed, threading.Event())
        thread.join()
        (found,) = results
        if isinstance(found, Exception):
            raise found
        return found

    try:
        yield result
    finally:
        stop.set()
        if whole:
            thread.join()


def _search(git: Git, commit: str, stop: threading.Event) -> list[Place]:
    places: list[Place] = []
    rest = b""
    for block in _output(git, stop, *COMMITS, commit):
        records, mark, rest = (rest + block).rpartition(b"\0")
        places += in_commits(records + mark)
    listed = b"".join(_output(git, stop, "ls-tree", "-r", "-z", "--name-only", commit))
    places += in_names(os.fsdecode(listed).split("\0"))
    return places[:MOST]


def _output(git: Git, stop: threading.Event, *words: str) -> Iterator[bytes]:
    """Yield the output of a command in blocks, until it is stopped."""
    with git.start(*words) as process, git.watched(process):
        assert process.stdin
        assert process.stdout
        process.stdin.close()
        process.stdin = None
        while (block := os.read(process.stdout.fileno(), _BLOCK)) and not stop.is_set():
            yield block
        if not stop.is_set():
            git.collect(process, None)


def in_changes(selection: Selection, contents: Contents) -> list[Credential]:
    """Return possible credentials in files and links that differ from HEAD, 1,000 at most."""
    rows: list[Credential] = []
    for path, entry in sorted(selection.overlay.items()):
        content = contents.read(path, entry) if entry else None
        if entry is None or content is None:
            continue
        name = os.fsdecode(path)
        if entry.mode == SYMLINK:
            target = content if isinstance(content, bytes) else b""
            rows += (Credential(*place) for place in in_target(name, target))
        else:
            shown = masked_text(name)
            rows += (Credential(shown, line, kind) for line, kind in in_content(content))
        if len(rows) >= MOST:
            break
    return rows[:MOST]
