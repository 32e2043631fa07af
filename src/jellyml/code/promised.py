"""What a sparse partial clone lacks: hidden from the working tree, and promised by a remote only.

Nothing is fetched for a capture. So these files are left out, and named by their folders.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from jellyml.code.guard import LeftOut
from jellyml.code.scan import Scan
from jellyml.code.scratch import Scratch, scratch
from jellyml.code.selection import Selection


def without_promised(selection: Selection) -> Selection:
    """The selection without files of which there is neither a file nor a blob."""
    partial = [(prefix, layer) for prefix, layer in selection.scan.layers() if _is_partial(layer)]
    if not partial:
        return selection
    overlay, left_out = dict(selection.overlay), list(selection.left_out)
    with scratch(selection.scan) as place:
        for prefix, layer in partial:
            blobs = _blobs(layer, place)
            lacking = _lacking(layer, place, blobs)
            overlay |= dict.fromkeys((prefix + path for path in lacking), None)
            named = _named(lacking, blobs.keys() - lacking)
            left_out += (LeftOut(os.fsdecode(prefix + name), "promised") for name in named)
    return replace(selection, overlay=overlay, left_out=tuple(left_out))


def _is_partial(layer: Scan) -> bool:
    return bool(layer.hidden and layer.head) and any(
        name.startswith("remote.") and name.endswith(".promisor") for name in layer.config
    )


def _blobs(layer: Scan, place: Scratch) -> dict[bytes, bytes]:
    """HEAD's files and their blobs. Asked where git knows of no remote to fetch them from."""
    listed = place.git.run("ls-tree", "-r", "-z", layer.head or "").split(b"\0")[:-1]
    rows = (row.partition(b"\t") for row in listed)
    return {path: fields.split()[2] for fields, _, path in rows}


def _lacking(layer: Scan, place: Scratch, blobs: dict[bytes, bytes]) -> set[bytes]:
    hidden = [path for path in layer.hidden & blobs.keys() if path not in layer.overlay]
    asked = b"".join(blobs[path] + b"\n" for path in hidden)
    answer = place.git.run("cat-file", "--batch-check", stdin=asked).splitlines()
    return {path for path, one in zip(hidden, answer, strict=True) if one.endswith(b" missing")}


def _named(lacking: Iterable[bytes], there: Iterable[bytes]) -> list[bytes]:
    """Each by the topmost folder in which there is nothing else."""
    shared = {parent for path in there for parent in _from_top(path)}
    return sorted(
        {next((one for one in _from_top(path) if one not in shared), path) for path in lacking}
    )


def _from_top(path: bytes) -> Iterator[bytes]:
    """The folders that a path lies in, outermost first, each with a slash."""
    for at, byte in enumerate(path):
        if byte == ord("/"):
            yield path[: at + 1]
