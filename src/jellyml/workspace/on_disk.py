"""The working tree as it is on disk: modes, empty folders, and bytes before conversion.

Git records a file's content after conversion and one bit of its mode. An exact restore also
needs the unconverted bytes, the full mode, and empty folders.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jellyml.repo.lfs import LIMIT, Pointer
from jellyml.repo.paths import at, parents
from jellyml.working_tree.attributes import CONTENT_RULES, NOT_SET, RULES, is_off
from jellyml.working_tree.contents import raw_id
from jellyml.working_tree.scan import SYMLINK, Entry, Scan, on_disk
from jellyml.working_tree.scratch import Scratch, bytes_on_disk


@dataclass(frozen=True, slots=True)
class Modes:
    """Full modes: the umask, and the files and folders that differ from its default."""

    umask: int
    files: dict[bytes, int] = field(default_factory=dict)
    folders: dict[bytes, int] = field(default_factory=dict)

    def file(self, path: bytes) -> int:
        return self.files.get(path, 0o666 & ~self.umask)

    def folder(self, path: bytes) -> int:
        return self.folders.get(path, 0o777 & ~self.umask)


@dataclass(slots=True)
class Layout:
    """Modes and empty folders of a working tree; paths are relative to its root."""

    modes: Modes
    empty: set[bytes] = field(default_factory=set)


class LeftInPlace:
    """Paths that an operation leaves in place; a folder includes everything below it."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self.paths = frozenset(path.rstrip(b"/") for path in paths)

    def __contains__(self, path: bytes) -> bool:
        if not self.paths:
            return False
        return path in self.paths or any(parent in self.paths for parent in parents(path))


def umask() -> int:
    """Return this process's umask."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def layout(root: Path, left: LeftInPlace, tracked: Iterable[bytes] = ()) -> Layout:
    """Walk the working tree once. Paths left in place are not entered.

    ``tracked`` files are included wherever they are, because a state contains them.
    """
    result = Layout(Modes(umask()))
    usual = stat.S_IFREG | result.modes.file(b"")
    pending = [b""]
    while pending:
        parent = pending.pop()
        prefix = parent + b"/" if parent else b""
        try:
            with os.scandir(os.fsencode(at(root, parent))) as entries:
                hollow = True
                for entry in entries:  # runs for every file, so each call counts
                    hollow = False
                    try:
                        mode = entry.stat(follow_symlinks=False).st_mode
                    except OSError:  # removed meanwhile
                        continue
                    if mode != usual:
                        _note(mode, entry.name, prefix, result, pending, left)
        except OSError:
            continue
        if hollow and parent:
            result.empty.add(parent)
    for path in {one for file in tracked for one in (file, *parents(file)) if one in left}:
        with suppress(OSError):
            _note_mode(at(root, path).lstat().st_mode, path, result.modes)
    return result


def _note(
    mode: int,
    name: bytes,
    prefix: bytes,
    layout: Layout,
    pending: list[bytes],
    left: LeftInPlace,
) -> None:
    path = prefix + name
    if name == b".git" or path in left.paths:
        return
    if stat.S_ISDIR(mode):
        pending.append(path)
    _note_mode(mode, path, layout.modes)


def _note_mode(mode: int, path: bytes, modes: Modes) -> None:
    if stat.S_ISDIR(mode) and stat.S_IMODE(mode) != modes.folder(path):
        modes.folders[path] = stat.S_IMODE(mode)
    elif stat.S_ISREG(mode) and stat.S_IMODE(mode) != modes.file(path):
        modes.files[path] = stat.S_IMODE(mode)


def identity(root: Path, path: bytes, object_format: str) -> tuple[bytes, bytes] | None:
    """Return (mode, blob id) of a path on disk; None if it is not a file or link."""
    entry = on_disk(root, path)
    if entry is None:
        return None
    try:
        return entry.mode, raw_id(bytes_on_disk(root, path, entry), object_format)
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Raw:
    """Files that differ from what git reports: to be read, or large files in LFS's store."""

    overlay: dict[bytes, Entry]
    lfs: dict[bytes, Path]  # path -> content in that store


def raw(scan: Scan, scratch: Scratch) -> Raw:
    """Return clean files whose bytes differ from their blob, and files that replace links."""
    overlay: dict[bytes, Entry] = {}
    lfs: dict[bytes, Path] = {}
    for prefix, layer in scan.layers():
        overlay |= ((prefix + path, entry) for path, entry in _links_as_files(layer))
        if not layer.attributes or not layer.head:
            continue
        listed = layer.repository.git.run("ls-tree", "-r", "-l", "-z", layer.head)
        blobs = dict(_blobs(listed, layer))
        stored = dict(_kept_by_lfs(layer, scratch, blobs))
        for path in _differing(layer, scratch, blobs):
            entry = on_disk(layer.repository.root, path)
            if path in stored:
                lfs[prefix + path] = stored[path]
            elif entry:
                overlay[prefix + path] = entry
    return Raw(overlay, lfs)


def _links_as_files(layer: Scan) -> Iterator[tuple[bytes, Entry]]:
    """Yield files that git reports as links, on systems without links (core.symlinks)."""
    if not is_off(layer.config, "core.symlinks"):
        return
    listed = layer.repository.git.run("ls-tree", "-r", "-z", layer.head) if layer.head else b""
    rows = (row.partition(b"\t") for row in listed.split(b"\0"))
    links = {path for fields, _, path in rows if fields.startswith(SYMLINK)}
    changed = {path for path, entry in layer.overlay.items() if entry and entry.mode == SYMLINK}
    for path in links - layer.overlay.keys() | changed:
        entry = on_disk(layer.repository.root, path)
        if entry and entry.mode != SYMLINK:
            yield path, entry


@dataclass(frozen=True, slots=True)
class _Blob:
    oid: str
    size: int


def _blobs(listed: bytes, layer: Scan) -> Iterator[tuple[bytes, _Blob]]:
    for row in listed.split(b"\0"):
        fields, _, path = row.partition(b"\t")
        parts = fields.split()
        blob = len(parts) == 4 and parts[1] == b"blob" and parts[0] != SYMLINK
        if blob and path not in layer.overlay:
            yield path, _Blob(parts[2].decode(), int(parts[3]))


def _differing(layer: Scan, scratch: Scratch, blobs: Mapping[bytes, _Blob]) -> Iterator[bytes]:
    """Yield files whose bytes may differ from their blob. Line-end conversion changes the size."""
    for path, rules in _ruled(layer, scratch, blobs).items():
        size = _size(layer.repository.root, path)
        content = any(rule in rules for rule in CONTENT_RULES)
        if size is not None and (content or size != blobs[path].size):
            yield path


def _kept_by_lfs(
    layer: Scan, scratch: Scratch, blobs: Mapping[bytes, _Blob]
) -> Iterator[tuple[bytes, Path]]:
    """Yield files whose content git-lfs has: a state need not contain it again."""
    small = {path: blob.oid for path, blob in blobs.items() if blob.size <= LIMIT}
    rules = scratch.attributes(layer, ("filter",), small)
    filtered = [path for path, _, value in rules if value == b"lfs"]
    contents = scratch.git.read_objects([small[path] for path in filtered])
    for path, content in zip(filtered, contents, strict=True):
        pointer = Pointer.parse(content)
        content_path = pointer and pointer.content(layer.repository.common_dir / "lfs")
        if pointer and content_path and _size(layer.repository.root, path) == pointer.size:
            yield path, content_path


def _ruled(
    layer: Scan, scratch: Scratch, paths: Iterable[bytes]
) -> dict[bytes, dict[bytes, bytes]]:
    everywhere = layer.config.get("core.autocrlf", "false") != "false"
    ruled: dict[bytes, dict[bytes, bytes]] = {path: {} for path in paths} if everywhere else {}
    for path, name, value in scratch.attributes(layer, RULES, paths):
        if value not in NOT_SET:
            ruled.setdefault(path, {})[name] = value
    return ruled


def _size(root: Path, path: bytes) -> int | None:
    try:
        return at(root, path).lstat().st_size
    except OSError:
        return None
