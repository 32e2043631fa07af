"""Select the files of a scan that go into a snapshot, and those that are left out."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from jellyml.errors import BadSnapshot
from jellyml.repo import paths
from jellyml.repo.paths import check_name, is_dot_git, status
from jellyml.snapshot.facts import Data, LeftOut
from jellyml.working_tree import exclude
from jellyml.working_tree.exclude import data_among
from jellyml.working_tree.scan import GITLINK, SYMLINK, Entry, Scan, on_disk
from jellyml.working_tree.scratch import Scratch, scratch

MAX_FILE_SIZE = 50_000_000
MAX_UNTRACKED = 250_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of untracked files, in bytes: of one file, and of all together.

    ``model`` is the checkpoint that a snapshot is for. It is never part of the snapshot.
    """

    max_file_size: int = MAX_FILE_SIZE
    max_untracked: int = MAX_UNTRACKED
    model: Path | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The tree to capture: HEAD, the trees of nested repositories, and an overlay."""

    scan: Scan
    overlay: dict[bytes, Entry | None]  # paths from the outermost root
    left_out: tuple[LeftOut, ...]
    data: tuple[Data, ...] = ()  # untracked files only
    promised: frozenset[bytes] = frozenset()  # clean files on disk whose blobs git lacks

    @property
    def root(self) -> Path:
        return self.scan.repository.root

    @property
    def is_head(self) -> bool:
        """True if nothing differs from HEAD, so that no tree has to be created."""
        return bool(self.scan.head) and not self.overlay and not self.scan.nested

    @property
    def changed(self) -> int:
        """How many paths differ from HEAD, or from the HEAD of a nested repository."""
        left_out = {os.fsencode(one.path) for one in self.left_out}
        return len(self.overlay.keys() - left_out)


def select(scan: Scan, limits: Limits) -> Selection:
    """Return the selection of all layers of ``scan``, with the limits applied."""
    overlay: dict[bytes, Entry | None] = {}
    untracked: list[bytes] = []
    left_out: list[LeftOut] = []
    for prefix, layer in scan.layers():
        overlay.pop(prefix[:-1], None)
        overlay.update((prefix + path, entry) for path, entry in layer.overlay.items())
        untracked += (prefix + path for path in layer.untracked)
        unreadable = (*layer.unreadable, *layer.closed)
        left_out += (not_read(prefix + path) for path in unreadable)
    root = scan.repository.root
    sized = (exclude.Untracked(path, _size(root, path)) for path in sorted(untracked))
    included, refused = exclude.choose(
        sized,
        root=root,
        max_file_size=limits.max_file_size,
        max_untracked=limits.max_untracked,
        model=_inside(root, limits.model) if limits.model else None,
    )
    # A path may be deleted in the index and untracked on disk: left out, it is a deletion.
    overlay |= dict.fromkeys((os.fsencode(one.path) for one in refused), None)
    return Selection(scan, overlay, (*left_out, *refused), data_among(included))


def _inside(root: Path, path: Path) -> bytes | None:
    """Return the path relative to the root, in git's bytes; None if it is not below it."""
    try:
        return os.fsencode(path.resolve().relative_to(root.resolve()).as_posix())
    except (ValueError, OSError):
        return None


def _size(root: Path, path: bytes) -> int:
    try:
        return status(root, path).st_size
    except OSError:
        return 0


def not_read(path: bytes) -> LeftOut:
    """Return the entry of a file that is left out because it cannot be read."""
    return LeftOut(os.fsdecode(path), "unreadable", None)


def without_unreadable(selection: Selection) -> Selection:
    """Return the selection without unreadable paths; HEAD's version does not replace them."""
    layers = selection.scan.layers()
    paths = [(prefix + path).rstrip(b"/") for prefix, layer in layers for path in layer.unreadable]
    return replace(selection, overlay=selection.overlay | dict.fromkeys(paths, None))


def with_promised(selection: Selection) -> Selection:
    """Return the selection with the bytes on disk of files whose blobs a partial clone lacks."""
    partial = _partial(selection.scan)
    if not partial:
        return selection
    overlay = dict(selection.overlay)
    with scratch(selection.scan) as place:
        for prefix, layer in partial:
            blobs = _blobs(layer, place)
            clean = blobs.keys() - layer.overlay.keys() - layer.hidden
            for path in _lacking(place, blobs, clean):
                overlay[prefix + path] = on_disk(layer.repository.root, path)
    promised = frozenset(overlay.keys() - selection.overlay.keys())
    return replace(selection, overlay=overlay, promised=promised)


def without_promised(selection: Selection) -> Selection:
    """Return the selection without files of a partial clone that have neither a file nor a blob."""
    partial = [(prefix, layer) for prefix, layer in _partial(selection.scan) if layer.hidden]
    if not partial:
        return selection
    overlay, left_out = dict(selection.overlay), list(selection.left_out)
    with scratch(selection.scan) as place:
        for prefix, layer in partial:
            blobs = _blobs(layer, place)
            lacking = _lacking(place, blobs, layer.hidden - layer.overlay.keys())
            overlay |= dict.fromkeys((prefix + path for path in lacking), None)
            named = _named(lacking, blobs.keys() - lacking)
            left_out += (LeftOut(os.fsdecode(prefix + name), "promised") for name in named)
    return replace(selection, overlay=overlay, left_out=tuple(left_out))


def _partial(scan: Scan) -> list[tuple[bytes, Scan]]:
    """Return the repositories that are partial clones."""
    return [
        (prefix, layer)
        for prefix, layer in scan.layers()
        if layer.head
        if any(one.startswith("remote.") and one.endswith(".promisor") for one in layer.config)
    ]


def _blobs(layer: Scan, place: Scratch) -> dict[bytes, bytes]:
    """Return HEAD's path -> blob id. The scratch git has no remote, so it fetches nothing."""
    listed = place.git.run("ls-tree", "-r", "-z", layer.head or "").split(b"\0")[:-1]
    rows = (row.partition(b"\t") for row in listed)
    return {path: f.split()[2] for f, _, path in rows if not f.startswith(GITLINK)}


def _lacking(place: Scratch, blobs: dict[bytes, bytes], paths: Iterable[bytes]) -> set[bytes]:
    """Return those of the paths in HEAD whose blobs are missing."""
    asked = [path for path in paths if path in blobs]
    request = b"".join(blobs[path] + b"\n" for path in asked)
    answer = place.git.run("cat-file", "--batch-check", stdin=request).splitlines()
    return {path for path, one in zip(asked, answer, strict=True) if one.endswith(b" missing")}


def _named(lacking: Iterable[bytes], there: Iterable[bytes]) -> list[bytes]:
    """Return the missing paths; a folder with only missing paths replaces them."""
    shared = {parent for path in there for parent in _from_top(path)}
    return sorted(
        {next((one for one in _from_top(path) if one not in shared), path) for path in lacking}
    )


def _from_top(path: bytes) -> Iterator[bytes]:
    """Yield the folders above a path, outermost first, each with a slash."""
    for at, byte in enumerate(path):
        if byte == ord("/"):
            yield path[: at + 1]


def without_refused(selection: Selection) -> Selection:
    """Return the selection without paths that a load would refuse."""
    refused = sorted({*_refused(selection)})
    if not refused:
        return selection
    left_out = tuple(LeftOut(os.fsdecode(path), "name") for path in refused)
    overlay = selection.overlay | dict.fromkeys(refused, None)
    return replace(selection, overlay=overlay, left_out=(*selection.left_out, *left_out))


def _refused(selection: Selection) -> Iterator[bytes]:
    for path, entry in selection.overlay.items():
        if entry and (_is_refused(path) or _leads_into_git(selection, path, entry)):
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


def _leads_into_git(selection: Selection, path: bytes, entry: Entry) -> bool:
    if entry.mode == SYMLINK and entry.oid is None:
        with suppress(OSError):
            target = os.readlink(os.fsencode(paths.at(selection.root, path)))  # noqa: PTH115
            return any(map(is_dot_git, target.replace(b"\\", b"/").split(b"/")))
    return False
