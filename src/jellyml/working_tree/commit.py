"""Write a selection as a tree and a commit into a scratch git directory.

Git's conversion rules turn bytes into blobs. No filter is run.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from jellyml.working_tree.attributes import NO_FILTER, NOT_SET, RULES, is_off
from jellyml.working_tree.contents import Contents
from jellyml.working_tree.scan import SYMLINK, Scan
from jellyml.working_tree.scratch import Change, Scratch, header
from jellyml.working_tree.selection import Selection

Rules = Mapping[bytes, bytes]


def blobs(selection: Selection, contents: Contents, scratch: Scratch) -> dict[bytes, bytes]:
    """Return path -> blob id of each file on disk that a rule changes.

    The blob of any other file has the file's bytes. Files with an external filter, and those
    whose rule cannot be applied, are listed in ``contents.raw``.
    """
    stored: dict[bytes, bytes] = {}
    for prefix, layer in selection.scan.layers():
        if not layer.attributes:
            continue
        files = {
            path: contents.read(prefix + path, entry)
            for path, entry in layer.overlay.items()
            if entry and entry.oid is None and entry.mode != SYMLINK
            and selection.overlay.get(prefix + path) == entry
        }  # fmt: skip
        readable = {path: content for path, content in files.items() if content is not None}
        rules = _rules(layer, scratch, readable)
        candidates = [p for p, content in readable.items() if _may_change(content, rules[p])]
        unconverted = _with_crlf(
            layer, scratch, [path for path in candidates if _is_auto(rules[path], layer)]
        )
        converted = scratch.blobs(layer, [path for path in candidates if path not in unconverted])
        stored |= {prefix + path: oid for path, oid in converted.items()}
        filtered = {path for path in readable if rules[path][b"filter"] not in NO_FILTER}
        missing = set(candidates) - unconverted - set(converted)
        contents.raw += sorted(prefix + path for path in filtered | missing)
    return stored


def _rules(
    layer: Scan, scratch: Scratch, paths: Iterable[bytes]
) -> dict[bytes, dict[bytes, bytes]]:
    rules: dict[bytes, dict[bytes, bytes]] = {}
    for path, name, value in scratch.attributes(layer, RULES, paths):
        rules.setdefault(path, {})[name] = value
    return rules


def _may_change(content: object, rules: Rules) -> bool:
    """Return False if no rule changes the file; end-of-line rules change only CRLF."""
    if any(rules[name] not in NOT_SET for name in (b"ident", b"working-tree-encoding")):
        return True
    return not isinstance(content, bytes) or b"\r\n" in content


def _is_auto(rules: Rules, layer: Scan) -> bool:
    """Return True if git itself decides whether a file is text."""
    if rules[b"text"] != b"unspecified":
        return rules[b"text"] == b"auto"
    if rules[b"crlf"] != b"unspecified":
        return rules[b"crlf"] == b"auto"
    config = {"core.autocrlf": "false"} | layer.config
    return rules[b"eol"] == b"unspecified" and not is_off(config, "core.autocrlf")


def _with_crlf(layer: Scan, scratch: Scratch, paths: Iterable[bytes]) -> set[bytes]:
    """Return files that git does not convert because their blob in the index has CRLF."""
    known = [path for path in paths if path in layer.indexed]
    ids = [layer.indexed[path].decode() for path in known]
    stored = scratch.git.read_objects(ids) if ids else ()
    return {path for path, blob in zip(known, stored, strict=True) if _has_crlf(blob)}


def _has_crlf(blob: bytes) -> bool:
    """Return True for text with CRLF, by the heuristic of git's convert.c."""
    text = blob[:-1] if blob.endswith(b"\x1a") else blob
    lone = text.count(b"\r") - text.count(b"\r\n")
    controls = len(text) - len(text.translate(None, _CONTROLS))
    printable = len(text.translate(None, _CONTROLS + b"\r\n"))
    return b"\r\n" in text and not lone and b"\0" not in text and printable >> 7 >= controls


_CONTROLS = bytes({*range(32), 127} - set(b"\b\t\n\f\r\x1b"))


def changes(
    selection: Selection, contents: Contents, scratch: Scratch, *, convert: bool = True
) -> Iterator[Change]:
    """Yield the changes of the selection against HEAD, deletions first.

    With ``convert`` git's conversion rules apply; else a blob has the file's bytes.
    """
    overlay = selection.overlay
    deleted = sorted(path for path, entry in overlay.items() if entry is None)
    for prefix, layer in selection.scan.layers():
        if prefix and layer.head:
            tree = layer.repository.git.line("rev-parse", f"{layer.head}^{{tree}}")
            yield Change(prefix[:-1], b"040000", tree.encode())
        elif prefix:
            yield Change(prefix[:-1])
        yield from (Change(path) for path in deleted if path.startswith(prefix))
    stored = blobs(selection, contents, scratch) if convert else {}
    for path, entry in sorted(overlay.items()):
        if entry is None:
            continue
        oid = entry.oid or stored.get(path)
        content = None if oid else contents.read(path, entry)
        # An unreadable or missing file is deleted from the tree: HEAD's version would be wrong.
        present = oid or content is not None
        yield Change(path, entry.mode, oid, content) if present else Change(path)


def commit_of(place: Scratch, selection: Selection, contents: Contents) -> str:
    """Return HEAD if it has the selection's tree, else a new child of it."""
    head = selection.scan.head
    if selection.is_head and head:
        return head
    date = _date(place, head) if head else 0
    return place.commit(header(date, head), changes(selection, contents, place), unless=head)


def _date(place: Scratch, commit: str) -> int:
    """Return the committer's date in seconds; 0 if it is malformed."""
    (text,) = place.git.read_objects([commit])
    match = _COMMITTED.search(text.partition(b"\n\n")[0])
    return int(match[1]) if match else 0


# Old repositories hold malformed dates.
_COMMITTED = re.compile(rb"\ncommitter [^\n]* (\d{1,15}) [+-]\d+(?:\n|\Z)")
