"""Files whose blob is not their bytes: stored by git's own rules, and by none of its filters."""

from collections.abc import Iterable, Mapping

from jellyml.code.contents import Contents
from jellyml.code.rules import is_off
from jellyml.code.scan import SYMLINK, Scan
from jellyml.code.scratch import Scratch
from jellyml.code.selection import Selection

_NAMES = ("text", "crlf", "eol", "ident", "working-tree-encoding", "filter")
_NONE = (b"unspecified", b"unset")
_NO_FILTER = (*_NONE, b"set")
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
        filtered = {path for path in lying if rules[path][b"filter"] not in _NO_FILTER}
        missing = set(asked) - kept - set(made)
        contents.raw += sorted(prefix + path for path in filtered | missing)
    return stored


def _rules(
    layer: Scan, scratch: Scratch, paths: Iterable[bytes]
) -> dict[bytes, dict[bytes, bytes]]:
    rules: dict[bytes, dict[bytes, bytes]] = {}
    for path, name, value in scratch.attributes(layer, _NAMES, paths):
        rules.setdefault(path, {})[name] = value
    return rules


def _may_change(content: object, rules: Rules) -> bool:
    """Of the rules for ends of lines, none changes a file without carriage returns."""
    if any(rules[name] not in _NONE for name in (b"ident", b"working-tree-encoding")):
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
