"""A selection as the lines of a commit, for ``fast-import``."""

from collections.abc import Iterator

from jellyml.code import conversion
from jellyml.code.contents import Contents
from jellyml.code.scratch import Change, Scratch
from jellyml.code.selection import Selection


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
