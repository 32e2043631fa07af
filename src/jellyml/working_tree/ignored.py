"""Files that a selection does not hold because git ignores them: find them, and add some.

The index is searched for paths first. Git is started only if one is not there.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from jellyml.repo.paths import parents
from jellyml.repo.repository import Repository
from jellyml.working_tree.attributes import has_rules, is_off
from jellyml.working_tree.scan import Entry, Scan, on_disk
from jellyml.working_tree.selection import Selection

_LONGEST = 0xFFF  # the length in an index entry
_SEARCHABLE = (2, 3)  # versions whose entries have whole paths


def ignored(selection: Selection, paths: Collection[bytes]) -> dict[bytes, bool]:
    """Return the ignored paths -> True if a rule ignores a folder, not the file itself.

    Paths are relative to the outermost root, and lead through no link. Raise GitError.
    """
    found: dict[bytes, bool] = {}
    for prefix, layer, inner in _by_layer(selection, paths):
        unknown = [path for path in inner if prefix + path not in selection.overlay]
        unknown = sorted({*unknown} - indexed(layer.repository.index, unknown))
        if unknown:
            rules = _rules(layer.repository, unknown)
            found |= {prefix + path: whole for path, whole in rules.items()}
    return found


def indexed(index: Path, paths: Iterable[bytes]) -> set[bytes]:
    """Return the paths that an index certainly has; others may be in it too.

    An entry is found by its flags, path and NUL. Entries are sorted, so all are found in one pass.
    """
    try:
        data = index.read_bytes()
    except OSError:
        return set()
    found: set[bytes] = set()
    at = 0
    for path in sorted(paths):
        entry = min(len(path), _LONGEST).to_bytes(2, "big") + path + b"\0"
        place = data.find(entry, at)
        if place >= 0:
            found.add(path)
            at = place
    return found


def is_searchable(index: Path) -> bool:
    """Return True if ``indexed`` finds every path: whole paths, in one file."""
    try:
        with index.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False
    version = int.from_bytes(head[4:], "big")
    return version in _SEARCHABLE and not any(index.parent.glob("sharedindex.*"))


def with_files(scan: Scan, paths: Iterable[bytes]) -> Scan:
    """Return the scan with more untracked files, each in its own repository."""
    own = set(paths)
    nested = {}
    for path, layer in scan.nested.items():
        inner = {one for one in own if one.startswith(path + b"/")}
        own -= inner
        shorter = {one.removeprefix(path + b"/") for one in inner}
        nested[path] = with_files(layer, shorter) if inner else layer
    executable = not is_off(scan.config, "core.filemode")
    root = scan.repository.root
    entries = {path: on_disk(root, path, executable=executable) for path in own}
    found: dict[bytes, Entry | None] = {path: one for path, one in entries.items() if one}
    return replace(
        scan,
        overlay=scan.overlay | found,
        untracked=scan.untracked | found.keys(),
        nested=nested,
        attributes=scan.attributes or has_rules(scan.repository, scan.config, found),
    )


def _by_layer(
    selection: Selection, paths: Iterable[bytes]
) -> Iterator[tuple[bytes, Scan, list[bytes]]]:
    """Yield each repository with the paths in it, relative to its root."""
    layers = sorted(selection.scan.layers(), key=lambda layer: -len(layer[0]))
    left = [*paths]
    for prefix, layer in layers:
        inner = [path.removeprefix(prefix) for path in left if path.startswith(prefix)]
        left = [path for path in left if not path.startswith(prefix)]
        closed = tuple(path + b"/" for path in layer.closed)
        inner = [path for path in inner if not path.startswith(closed)]
        if inner and not layer.plain:
            yield prefix, layer, inner


def _rules(repository: Repository, paths: list[bytes]) -> dict[bytes, bool]:
    """Ask git for the rules that ignore the paths, or folders above them."""
    asked = dict.fromkeys(one for path in paths for one in (path, *parents(path)))
    request = b"".join(b"./%s\0" % path for path in asked)  # else ":" would begin a pathspec
    command = ("check-ignore", "-v", "-z", "--stdin")
    fields = repository.git.run(*command, stdin=request, accept=(0, 1)).split(b"\0")
    rules = {
        path.removeprefix(b"./"): rule
        for rule, path in zip(fields[2::4], fields[3::4], strict=False)
        if not rule.startswith(b"!")
    }
    return {path: _is_folders(path, rules) for path in paths if path in rules}


def _is_folders(path: bytes, rules: dict[bytes, bytes]) -> bool:
    """Return True if a rule ignores a folder above the path, or all files in its folder."""
    if rules[path].endswith(b"/") or any(folder in rules for folder in parents(path)):
        return True
    # Git reports no ignored folder that has a tracked file.
    rule = os.fsdecode(rules[path]).rpartition("/")[2]
    name = os.fsdecode(path).rpartition("/")[2]
    return not rule.strip("*") or not fnmatchcase(name, rule)
