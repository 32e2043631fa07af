"""A selection as a git tree and a commit, written into a scratch git directory.

Git's own rules turn bytes into blobs, and none of its filters is run.
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
    """The blob id of each file on disk that a rule changes; all others are taken as they lie.

    Those that an external filter should change, or whose rule cannot be followed, are noted
    in ``contents.raw``.
    """
    stored: dict[bytes, bytes] = {}
    for prefix, layer in selection.scan.layers():
        if not layer.attributes:
            continue
        ours = {
            path: contents.read(prefix + path, found)
            for path, found in layer.overlay.items()
            if found and found.oid is None and found.mode != SYMLINK
            and selection.overlay.get(prefix + path) == found
        }  # fmt: skip
        lying = {path: content for path, content in ours.items() if content is not None}
        rules = _rules(layer, scratch, lying)
        asked = [p for p, content in lying.items() if _may_change(content, rules[p])]
        kept = _kept(layer, scratch, [path for path in asked if _is_auto(rules[path], layer)])
        made = scratch.blobs(layer, [path for path in asked if path not in kept])
        stored |= {prefix + path: oid for path, oid in made.items()}
        filtered = {path for path in lying if rules[path][b"filter"] not in NO_FILTER}
        missing = set(asked) - kept - set(made)
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
    """Of the rules for ends of lines, none changes a file without carriage returns."""
    if any(rules[name] not in NOT_SET for name in (b"ident", b"working-tree-encoding")):
        return True
    return not isinstance(content, bytes) or b"\r\n" in content


def _is_auto(rules: Rules, layer: Scan) -> bool:
    """True where git itself decides whether a file is text."""
    if rules[b"text"] != b"unspecified":
        return rules[b"text"] == b"auto"
    if rules[b"crlf"] != b"unspecified":
        return rules[b"crlf"] == b"auto"
    config = {"core.autocrlf": "false"} | layer.config
    return rules[b"eol"] == b"unspecified" and not is_off(config, "core.autocrlf")


def _kept(layer: Scan, scratch: Scratch, paths: Iterable[bytes]) -> set[bytes]:
    """Files that git leaves as they are since the index holds them with carriage returns."""
    known = [path for path in paths if path in layer.indexed]
    ids = [layer.indexed[path].decode() for path in known]
    there = scratch.git.read_objects(ids) if ids else ()
    return {path for path, blob in zip(known, there, strict=True) if _has_crlf(blob)}


def _has_crlf(blob: bytes) -> bool:
    """Git's own guess (convert.c): text with CRLF in it, and not binary."""
    text = blob[:-1] if blob.endswith(b"\x1a") else blob
    lone = text.count(b"\r") - text.count(b"\r\n")
    controls = len(text) - len(text.translate(None, _CONTROLS))
    printable = len(text.translate(None, _CONTROLS + b"\r\n"))
    return b"\r\n" in text and not lone and b"\0" not in text and printable >> 7 >= controls


_CONTROLS = bytes({*range(32), 127} - set(b"\b\t\n\f\r\x1b"))


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
    stored = blobs(selection, contents, scratch) if convert else {}
    for path, found in sorted(overlay.items()):
        if found is None:
            continue
        oid = found.oid or stored.get(path)
        content = None if oid else contents.read(path, found)
        # What cannot be read, or is gone by now, is not in the tree: no older version either.
        there = oid or content is not None
        yield Change(path, found.mode, oid, content) if there else Change(path)


def commit_of(place: Scratch, selection: Selection, contents: Contents) -> str:
    """HEAD itself where its tree is the tree to be captured, else a child of it."""
    head = selection.scan.head
    if selection.is_head and head:
        return head
    date = _date(place, head) if head else 0
    return place.commit(header(date, head), changes(selection, contents, place), unless=head)


def _date(place: Scratch, commit: str) -> int:
    """The committer's date in seconds; 0 where it is malformed."""
    (text,) = place.git.read_objects([commit])
    found = _COMMITTED.search(text.partition(b"\n\n")[0])
    return int(found[1]) if found else 0


# Old repositories hold malformed dates.
_COMMITTED = re.compile(rb"\ncommitter [^\n]* (\d{1,15}) [+-]\d+(?:\n|\Z)")
