"""Names that a snapshot does not hold, since some file system takes them for another place.

A load refuses a snapshot that has one, whoever made it. So they are left out, and named.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from jellyml.code.dangerous_names import check_name, is_dot_git
from jellyml.code.guard import LeftOut
from jellyml.code.scan import SYMLINK, Found, at
from jellyml.code.selection import Selection
from jellyml.errors import BadSnapshot


def without_refused(selection: Selection) -> Selection:
    """The selection without what a load would refuse."""
    refused = sorted({*_refused(selection)})
    if not refused:
        return selection
    left_out = tuple(LeftOut(os.fsdecode(path), "name") for path in refused)
    overlay = selection.overlay | dict.fromkeys(refused, None)
    return replace(selection, overlay=overlay, left_out=(*selection.left_out, *left_out))


def _refused(selection: Selection) -> Iterator[bytes]:
    for path, found in selection.overlay.items():
        if found and (_is_refused(path) or _leads_into_git(selection, path, found)):
            yield path
    for prefix, layer in selection.scan.layers():
        for path in layer.odd_names:
            if _is_refused(path) and selection.overlay.get(prefix + path, True):
                yield prefix + path


def _is_refused(path: bytes) -> bool:
    try:
        for name in path.split(b"/"):
            check_name(name)
    except BadSnapshot:
        return True
    return False


def _leads_into_git(selection: Selection, path: bytes, found: Found) -> bool:
    if found.mode == SYMLINK and found.oid is None:
        with suppress(OSError):
            target = os.readlink(os.fsencode(at(selection.root, path)))  # noqa: PTH115
            return any(map(is_dot_git, target.replace(b"\\", b"/").split(b"/")))
    return False
