"""The name under which a capture is kept: equal for equal code, whatever the index says."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from jellyml.code.contents import Contents, raw_id
from jellyml.code.rules import rule_files, shared_files
from jellyml.code.scan import Scan
from jellyml.code.selection import Selection


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
