"""The bytes on disk of a selection; each small file is read once."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.working_tree.attributes import is_off
from jellyml.working_tree.scan import Entry
from jellyml.working_tree.scratch import bytes_on_disk
from jellyml.working_tree.selection import Selection, not_read

if TYPE_CHECKING:
    from jellyml.snapshot.facts import LeftOut

_BLOCK = 1 << 20


def raw_id(content: bytes | Path, object_format: str) -> bytes:
    """Return the id of a blob with these bytes, as hexadecimal digits."""
    import hashlib  # late: it loads all of OpenSSL

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
    """The bytes on disk of an overlay; each small file is read once.

    ``hold`` is the number of bytes to keep in memory.
    """

    def __init__(self, selection: Selection, *, hold: int = 16 << 20) -> None:
        self._root = selection.root
        self._links = not any(
            is_off(one.config, "core.symlinks") for _, one in selection.scan.layers()
        )
        self._cached: dict[bytes, bytes] = {}
        self._room = hold
        self.unreadable: list[LeftOut] = []
        self.raw: list[
            bytes
        ] = []  # taken without conversion, because their filter or rule cannot be applied

    def read(self, path: bytes, entry: Entry) -> bytes | Path | None:
        """Return a path's bytes, or its Path if it is large; None if it cannot be read.

        An unreadable path is added to ``unreadable``.
        """
        if path in self._cached:
            return self._cached[path]
        try:
            content = bytes_on_disk(self._root, path, entry, links=self._links)
        except FileNotFoundError:
            return None
        except OSError:
            left = not_read(path)
            if left not in self.unreadable:
                self.unreadable.append(left)
            return None
        if isinstance(content, bytes) and len(content) <= self._room:
            self._cached[path] = content
            self._room -= len(content)
        return content
