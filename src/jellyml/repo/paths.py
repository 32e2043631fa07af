"""Paths as git stores them: their location on disk, and names that are unsafe on some system."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from jellyml.errors import BadSnapshot

_PLAIN = re.compile(rb"\w[\w.-]*")  # a name that no rule below rejects
_DRIVE = re.compile(rb"[A-Za-z]:")
# NTFS also accepts the short name, trailing dots and spaces, and a stream suffix.
_DOT_GIT = re.compile(r"(?:\.git|git~1)[ .]*(?::.*)?", re.IGNORECASE | re.DOTALL)
# Code points that HFS+ ignores.
_UNSEEN = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)

_MARKS = (b":", b"\\", b"~", b".git ", b".git.")


def check_name(name: bytes) -> None:
    """Raise BadSnapshot for a name that some file system resolves to another location."""
    if _PLAIN.fullmatch(name):
        return
    parts = name.split(b"\\")  # as Windows splits it
    if (
        name in (b"", b".")
        or b"/" in name
        or b".." in parts
        or (len(parts) > 1 and not parts[0])
        or _DRIVE.match(name)
        or any(map(is_dot_git, parts))
    ):
        raise BadSnapshot(
            f"The code in this checkpoint names a file {shown(name)}, "
            "which could be written to another place than its own folder."
        )


def is_dot_git(name: bytes) -> bool:
    """Return whether some file system treats this name as ``.git``."""
    text = name.decode(errors="surrogateescape").translate(_UNSEEN)
    return _DOT_GIT.fullmatch(text) is not None


def folded(name: bytes) -> bytes:
    """Return a key that is equal for names which some file system treats as one."""
    if name.isascii():
        return name.lower().rstrip(b". ")
    text = name.decode(errors="surrogateescape").translate(_UNSEEN)
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return text.encode(errors="surrogateescape").rstrip(b". ")


def shown(name: bytes) -> str:
    """Return a short form without control characters, safe for a terminal."""
    return ascii(name[:40].decode(errors="replace"))


def odd_names(listed: bytes) -> Iterator[bytes]:
    """Yield the paths of an index listing that need a closer check; usually none."""
    if any(mark in listed for mark in _MARKS):
        for row in listed.split(b"\0"):
            path = row.partition(b"\t")[2]
            if any(mark in path for mark in _MARKS):
                yield path


def at(root: Path, path: bytes) -> Path:
    """Return the location of a git path."""
    return root / os.fsdecode(path)


def status(root: Path, path: bytes) -> os.stat_result:
    """Return the lstat of a git path. Creating a Path for each of many files would take longer."""
    return os.lstat(b"%s/%s" % (os.fsencode(root), path))


def parents(path: bytes) -> Iterator[bytes]:
    """Yield the folders above a path, nearest first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def above(path: bytes) -> bytes:
    """Return the folder of a path; empty for the root."""
    return path.rpartition(b"/")[0]
