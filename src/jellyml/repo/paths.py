"""Git's paths: their place on disk, their folders, and names that are unsafe on some system."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from jellyml.errors import BadSnapshot

_PLAIN = re.compile(rb"\w[\w.-]*")  # no rule below has anything against such a name
_DRIVE = re.compile(rb"[A-Za-z]:")
# On NTFS also by its short name, with dots and spaces behind it, or as a stream of it.
_DOT_GIT = re.compile(r"(?:\.git|git~1)[ .]*(?::.*)?", re.IGNORECASE | re.DOTALL)
# Code points that HFS+ does not see.
_UNSEEN = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)

_MARKS = (b":", b"\\", b"~", b".git ", b".git.")


def check_name(name: bytes) -> None:
    """Raise BadSnapshot for a name that some file system takes for another place."""
    if _PLAIN.fullmatch(name):
        return
    parts = name.split(b"\\")  # as Windows would
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
    """Whether some file system takes this name for ``.git``."""
    text = name.decode(errors="surrogateescape").translate(_UNSEEN)
    return _DOT_GIT.fullmatch(text) is not None


def folded(name: bytes) -> bytes:
    """The same for two names that some file system takes for one."""
    if name.isascii():
        return name.lower().rstrip(b". ")
    text = name.decode(errors="surrogateescape").translate(_UNSEEN)
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return text.encode(errors="surrogateescape").rstrip(b". ")


def shown(name: bytes) -> str:
    """Short, and without a byte that a terminal could obey."""
    return ascii(name[:40].decode(errors="replace"))


def odd_names(listed: bytes) -> Iterator[bytes]:
    """The paths, of a listing of the index, that are worth a closer look; nearly always none."""
    if any(mark in listed for mark in _MARKS):
        for row in listed.split(b"\0"):
            path = row.partition(b"\t")[2]
            if any(mark in path for mark in _MARKS):
                yield path


def at(root: Path, path: bytes) -> Path:
    """Where a path of git's lies."""
    return root / os.fsdecode(path)


def status(root: Path, path: bytes) -> os.stat_result:
    """What lies there, links not followed. A Path for each of many would cost more than this."""
    return os.lstat(b"%s/%s" % (os.fsencode(root), path))


def parents(path: bytes) -> Iterator[bytes]:
    """The folders above a path, nearest first."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def above(path: bytes) -> bytes:
    """The folder a path lies in; empty for the root."""
    return path.rpartition(b"/")[0]
