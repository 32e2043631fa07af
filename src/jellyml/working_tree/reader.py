"""The selection of a working tree, whether it has changed since, and the key of its capture."""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.repo.paths import status
from jellyml.snapshot.facts import CodeFacts, LeftOut, Nested
from jellyml.working_tree.attributes import rule_files, shared_files
from jellyml.working_tree.contents import Contents, raw_id
from jellyml.working_tree.scan import Scan
from jellyml.working_tree.selection import Selection, select, without_promised, without_refused

if TYPE_CHECKING:
    from jellyml.capture.capture import Options

# A file as new as this may change again without a new time: its bytes are then compared.
_FRESH = 2.0


def key(selection: Selection, contents: Contents, *options: object) -> str:
    """A name for the code: equal for equal code, on any machine, whatever the index says."""
    scan = selection.scan
    digest = hashlib.sha256()
    _add(digest, b"jellyml-3", scan.repository.object_format, repr(options))
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


def selected(found: Scan, options: "Options") -> Selection:
    """What of a look goes into the snapshot: nothing of it is older than the look."""
    selection = select(
        found,
        max_file_size=options.max_file_size,
        max_untracked=options.max_untracked,
        model=options.model,
    )
    unreadable = [prefix + path for prefix, layer in found.layers() for path in layer.unreadable]
    gone = dict.fromkeys((path.rstrip(b"/") for path in unreadable), None)
    selection = replace(selection, overlay=selection.overlay | gone)
    return without_refused(without_promised(selection))


Signature = tuple[int, int, int, int] | None


def file_signatures(selection: Selection) -> list[Signature]:
    """What tells that a file on disk has changed, for every file that is read."""
    signatures: list[Signature] = []
    for path, found in selection.overlay.items():
        if found and found.oid is None:
            try:
                seen = status(selection.root, path)
            except OSError:
                signatures.append(None)
            else:
                signatures.append((seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return signatures


def is_fresh(signatures: list[Signature]) -> bool:
    """True where a file may have changed twice within one tick of its file system's clock."""
    since = (time.time() - _FRESH) * 1e9
    return any(one is None or one[0] > since for one in signatures)


def facts_of(selection: Selection, unreadable: Iterable[LeftOut]) -> CodeFacts:
    """What the look says of the repository; the capture's own facts come on top."""
    found = selection.scan
    return CodeFacts(
        root=selection.root,
        base=found.head,
        branch=found.branch,
        changed=selection.changed,
        remotes=_remotes(found),
        left_out=tuple(dict.fromkeys((*selection.left_out, *unreadable))),
        data=selection.data,
        nested=tuple(
            Nested(os.fsdecode(prefix[:-1]), layer.head, layer.branch, _remotes(layer))
            for prefix, layer in found.layers()
            if prefix and not layer.plain
        ),
    )


def _remotes(found: Scan) -> dict[str, str]:
    return {
        name.removeprefix("remote.").removesuffix(".url"): address
        for name, address in found.config.items()
        if name.startswith("remote.") and name.endswith(".url")
    }
