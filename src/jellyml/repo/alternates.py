"""The object stores of a repository: its own, and those that it borrows from.

The lists of alternates (gitrepository-layout(5)) may come from an untrusted folder. Invariant: each
store is followed once, so a list that names itself many times costs nothing more.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from jellyml.fs.atomic import read_plain
from jellyml.fs.paths import resolved

_DEEPEST = 5  # levels of alternates, as in git's object-file.c
_LONGEST = 1 << 20  # bytes of a file that names stores


def object_stores(objects: Path) -> Iterator[Path]:
    """Yield an object store and its alternates. A store with several paths is yielded for each."""
    followed: set[Path] = set()
    waiting = [(objects, 0)]
    while waiting:
        store, depth = waiting.pop()
        yield store
        with suppress(OSError, ValueError):  # a missing file, a link loop, a name with a NUL
            place = resolved(store)
            if place in followed or depth == _DEEPEST:
                continue
            followed.add(place)
            lines = dict.fromkeys(read_plain(store / "info/alternates", _LONGEST).splitlines())
            waiting += [
                (store / os.fsdecode(_unquoted(line)), depth + 1)
                for line in lines
                if line and not line.startswith(b"#")
            ]


def _unquoted(line: bytes) -> bytes:
    """Return a line without git's quotes, which a name that begins with one has."""
    if not (line.startswith(b'"') and line.endswith(b'"') and len(line) > 1):
        return line
    return line[1:-1].decode("unicode_escape").encode("latin-1")
