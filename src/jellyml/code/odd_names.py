"""Of all tracked names the few that may stand for another place: a drive, a stream, `.git`."""

from collections.abc import Iterator

_MARKS = (b":", b"\\", b"~", b".git ", b".git.")


def odd_names(listed: bytes) -> Iterator[bytes]:
    """The paths, of a listing of the index, that are worth a closer look; nearly always none."""
    if any(mark in listed for mark in _MARKS):
        for row in listed.split(b"\0"):
            path = row.partition(b"\t")[2]
            if any(mark in path for mark in _MARKS):
                yield path
