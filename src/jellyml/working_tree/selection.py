"""What of a scan goes into a tree, and what is left out.

Scans of nested repositories are laid into one tree here, as ordinary files.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from jellyml.code import guard
from jellyml.code.data import Data, data_among
from jellyml.code.guard import LeftOut
from jellyml.code.scan import Found, Scan, status

# Of untracked files, in bytes: of one, and of all.
MAX_FILE_SIZE = 50_000_000
MAX_UNTRACKED = 250_000_000


@dataclass(frozen=True, slots=True)
class Selection:
    """One tree to be: HEAD's own, the trees of nested repositories, and an overlay."""

    scan: Scan
    overlay: dict[bytes, Found | None]  # paths from the outermost root
    left_out: tuple[LeftOut, ...]
    data: tuple[Data, ...] = ()  # of what git does not know

    @property
    def root(self) -> Path:
        return self.scan.repository.root

    @property
    def is_head(self) -> bool:
        """True when nothing differs from HEAD, so that nothing has to be built."""
        return bool(self.scan.head) and not self.overlay and not self.scan.nested

    @property
    def changed(self) -> int:
        """How many paths the tree has otherwise than HEAD, or than a nested repository's."""
        left_out = {os.fsencode(one.path) for one in self.left_out}
        return len(self.overlay.keys() - left_out)


def select(
    scan: Scan, *, max_file_size: int, max_untracked: int, model: Path | None = None
) -> Selection:
    """Lay the layers of ``scan`` over each other and apply the limits (bytes).

    ``model`` is a checkpoint that the snapshot is for, and no part of it.
    """
    overlay: dict[bytes, Found | None] = {}
    untracked: list[bytes] = []
    left_out: list[LeftOut] = []
    for prefix, layer in scan.layers():
        overlay.pop(prefix[:-1], None)
        overlay.update((prefix + path, found) for path, found in layer.overlay.items())
        untracked += (prefix + path for path in layer.untracked)
        unreadable = (*layer.unreadable, *layer.closed)
        left_out += (not_read(prefix + path) for path in unreadable)
    root = scan.repository.root
    sized = (guard.Untracked(path, _size(root, path)) for path in sorted(untracked))
    kept, refused = guard.choose(
        sized,
        root=root,
        max_file_size=max_file_size,
        max_untracked=max_untracked,
        model=_inside(root, model) if model else None,
    )
    # A path may be gone from the index and lie there untracked: then it is a deletion.
    overlay |= dict.fromkeys((os.fsencode(one.path) for one in refused), None)
    return Selection(scan, overlay, (*left_out, *refused), data_among(kept))


def _inside(root: Path, path: Path) -> bytes | None:
    """The path as git gives it, where it lies below the root."""
    try:
        return os.fsencode(path.resolve().relative_to(root.resolve()).as_posix())
    except (ValueError, OSError):
        return None


def _size(root: Path, path: bytes) -> int:
    try:
        return status(root, path).st_size
    except OSError:
        return 0


def not_read(path: bytes) -> LeftOut:
    """Named as left out because it cannot be read."""
    return LeftOut(os.fsdecode(path), "unreadable", None)
