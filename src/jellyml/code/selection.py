"""What of a scan goes into a tree, what is left out, and the key that names the result.

Scans of nested repositories are laid into one tree here, as ordinary files.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jellyml.code import conversion, guard
from jellyml.code.guard import LeftOut
from jellyml.code.rules import is_off, rule_files, shared_files
from jellyml.code.scan import Found, Scan, at
from jellyml.code.scratch import Change, Scratch, bytes_on_disk

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Selection:
    """One tree to be: HEAD's own, the trees of nested repositories, and an overlay."""

    scan: Scan
    overlay: dict[bytes, Found | None]  # paths from the outermost root
    left_out: tuple[LeftOut, ...]

    @property
    def root(self) -> Path:
        return self.scan.repository.root

    @property
    def is_head(self) -> bool:
        """True when nothing differs from HEAD, so that nothing has to be built."""
        return bool(self.scan.head) and not self.overlay and not self.scan.nested


def select(scan: Scan, *, max_file_size: int, max_untracked: int) -> Selection:
    """Lay the layers of ``scan`` over each other and apply the limits (bytes)."""
    overlay: dict[bytes, Found | None] = {}
    untracked: list[bytes] = []
    left_out: list[LeftOut] = []
    for prefix, layer in scan.layers():
        overlay.pop(prefix[:-1], None)
        overlay.update((prefix + path, found) for path, found in layer.overlay.items())
        untracked += (prefix + path for path in layer.untracked)
        unreadable = (*layer.unreadable, *layer.closed)
        left_out += (_unreadable(prefix + path) for path in unreadable)
    root = scan.repository.root
    sized = (guard.Untracked(path, _size(root, path)) for path in sorted(untracked))
    _, refused = guard.choose(
        sized, root=root, max_file_size=max_file_size, max_untracked=max_untracked
    )
    # A path may be gone from the index and lie there untracked: then it is a deletion.
    overlay |= dict.fromkeys((os.fsencode(one.path) for one in refused), None)
    return Selection(scan, overlay, (*left_out, *refused))


def _size(root: Path, path: bytes) -> int:
    try:
        return at(root, path).lstat().st_size
    except OSError:
        return 0


def _unreadable(path: bytes) -> LeftOut:
    return LeftOut(os.fsdecode(path), "unreadable", None)


def raw_id(content: bytes | Path, object_format: str) -> bytes:
    """The id git gives to these bytes as a blob."""
    digest = hashlib.new(object_format)
    if isinstance(content, bytes):
        digest.update(b"blob %d\0" % len(content) + content)
    else:
        with content.open("rb") as file:
            digest.update(b"blob %d\0" % os.fstat(file.fileno()).st_size)
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest().encode()


class Contents:
    """The bytes on disk behind an overlay, each small file read once."""

    def __init__(self, selection: Selection, *, hold: int = 16 << 20) -> None:
        self._root = selection.root
        self._links = not any(
            is_off(one.config, "core.symlinks") for _, one in selection.scan.layers()
        )
        self._held: dict[bytes, bytes] = {}
        self._room = hold
        self.unreadable: list[LeftOut] = []
        self.raw: list[bytes] = []  # taken as they lie, for want of what their rules ask for

    def read(self, path: bytes, found: Found) -> bytes | Path | None:
        """A path's bytes; None, and a note, for one that cannot be read."""
        if path in self._held:
            return self._held[path]
        try:
            content = bytes_on_disk(self._root, path, found, links=self._links)
        except FileNotFoundError:
            return None
        except OSError:
            left = _unreadable(path)
            if left not in self.unreadable:
                self.unreadable.append(left)
            return None
        if isinstance(content, bytes) and len(content) <= self._room:
            self._held[path] = content
            self._room -= len(content)
        return content


def key(selection: Selection, contents: Contents, *options: object) -> str:
    """A name for the code: equal for equal code, on any machine, whatever the index says."""
    scan = selection.scan
    digest = hashlib.sha256()
    _add(digest, b"jellyml-1", scan.repository.object_format, repr(options))
    for prefix, layer in scan.layers():
        _add(digest, b"layer", prefix, layer.head or b"")
        if layer.attributes:
            _add(digest, *_rules(layer))
    _add(digest, _read(scan.repository.common_dir / "shallow"))
    for path in sorted(selection.overlay):
        found = selection.overlay[path]
        if found is None:
            _add(digest, b"D", path)
            continue
        oid = found.oid
        if oid is None:
            content = contents.read(path, found)
            oid = b"" if content is None else raw_id(content, scan.repository.object_format)
        _add(digest, found.mode, path, oid)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", *parts: bytes | str) -> None:
    for part in parts:
        data = part if isinstance(part, bytes) else os.fsencode(part)
        digest.update(b"%d:" % len(data) + data)


def _rules(layer: Scan) -> Iterator[bytes | str]:
    yield repr(sorted(layer.conversion().items()))
    shared = shared_files(layer.repository, layer.config)
    read = [path for path, found in layer.overlay.items() if found and found.oid is None]
    for file in (*shared, *rule_files(layer.repository.root, read)):
        yield os.fspath(file)
        yield _read(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def changes(
    selection: Selection, contents: Contents, scratch: Scratch, *, convert: bool = True
) -> Iterator[Change]:
    """The selection as lines of a commit upon HEAD, deletions first.

    With ``convert`` bytes become blobs as git would make them; else they stay as they lie.
    """
    overlay = selection.overlay
    deleted = sorted(path for path, found in overlay.items() if found is None)
    for prefix, layer in selection.scan.layers():
        if prefix and layer.head:
            tree = layer.repository.git.line("rev-parse", f"{layer.head}^{{tree}}")
            yield Change(prefix[:-1], b"040000", tree.encode())
        elif prefix:
            yield Change(prefix[:-1])
        yield from (Change(path) for path in deleted if path.startswith(prefix))
    stored = conversion.blobs(selection, contents, scratch) if convert else {}
    for path, found in sorted(overlay.items()):
        if found is None:
            continue
        oid = found.oid or stored.get(path)
        content = None if oid else contents.read(path, found)
        # What cannot be read, or is gone by now, is not in the tree: no older version either.
        there = oid or content is not None
        yield Change(path, found.mode, oid, content) if there else Change(path)
