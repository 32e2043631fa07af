"""Decide whether a snapshot is related to the repository that it is loaded into.

A load into the wrong folder removes everything in it. An undo restores it, but a mistyped path
should not need one. Code is unrelated if it shares neither a path nor a commit.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jellyml.quarantine.quarantine import VerifiedCode
from jellyml.repo.repository import Repository
from jellyml.working_tree.scan import Scan
from jellyml.workspace.operation_log import Move

_WIDTHS = {"sha1": 20, "sha256": 32}
_FANOUT = 8 + 256 * 4  # bytes before the ids in a pack index of version 2


def lost(moves: Iterable[Move], scan: Scan) -> int:
    """Return how many files a load would replace or remove, without nested repositories."""
    nested = tuple(prefix for prefix, _ in scan.layers() if prefix)
    return sum(1 for move in moves if move.before and not move.path.startswith(nested))


def shares_a_path(moves: Sequence[Move], files: int, scan: Scan) -> bool:
    """Return whether the working tree or HEAD contains a path of a tree with ``files`` files.

    ``moves`` are all differences between the working tree and that tree. So a file of the tree
    that is not added was already there.
    """
    added = {move.path for move in moves if move.before is None and move.after is not None}
    if len(added) < files:
        return True
    missing = {path for path, entry in scan.overlay.items() if entry is None} | scan.hidden
    return not added.isdisjoint(missing)


def shares_a_commit(repository: Repository, incoming: VerifiedCode, named: Iterable[str]) -> bool:
    """Return whether the repository contains a commit of the bundle, or one of ``named``."""
    ids = [*named, *_objects(incoming)]
    command = ("cat-file", "--batch-check=%(objecttype)", "--buffer")
    answer = repository.git.run(*command, stdin="".join(f"{one}\n" for one in ids).encode())
    return b"commit" in answer.split(b"\n")


def _objects(incoming: VerifiedCode) -> Iterator[str]:
    """Yield the ids of all objects in the quarantine, from its pack index."""
    width = _WIDTHS[incoming.object_format]
    for path in Path(incoming.objects, "pack").glob("*.idx"):
        data = path.read_bytes()
        count = int.from_bytes(data[_FANOUT - 4 : _FANOUT], "big")
        for at in range(_FANOUT, _FANOUT + count * width, width):
            yield data[at : at + width].hex()
