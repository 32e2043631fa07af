"""Code that is imported after a capture and that its snapshot does not have.

A save asks for it. No git is started: the index is searched for the file's path.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from jellyml.capture.code_in_use import digest, repository_of, used_files
from jellyml.capture.loaded_modules import is_installed
from jellyml.capture.warn_in_use import warn_in_use
from jellyml.snapshot.in_use import CodeInUse, LaterFile
from jellyml.working_tree.ignored import indexed, is_searchable
from jellyml.working_tree.reader import WorkingTree


@dataclass(slots=True)
class UsedLater:
    """The later files of one capture. A call returns all of them so far, and never raises."""

    root: Path  # links resolved
    captured: frozenset[bytes]  # paths that differ from HEAD
    indexes: dict[bytes, Path]  # prefix of each repository in the tree -> its index
    outside: frozenset[Path]  # repositories that are recorded with the capture
    examined: set[Path]
    modules: int
    rows: tuple[LaterFile, ...] = field(default=())

    @classmethod
    def than(cls, tree: WorkingTree, in_use: CodeInUse, modules: int) -> "UsedLater":
        """Return the look after the capture of ``tree``, which saw ``modules`` modules."""
        root = tree.selection.root.resolve()
        named = [
            *(one.path for one in in_use.ignored),
            *(one.path for one in tree.selection.left_out),
            *(os.path.join(one.path, name) for one in in_use.outside for name in one.files),  # noqa: PTH118 (absolute)
        ]
        layers = tree.selection.scan.layers()
        return cls(
            root=root,
            captured=frozenset(path for path, row in tree.selection.overlay.items() if row),
            indexes={prefix: layer.repository.index for prefix, layer in layers},
            outside=frozenset(Path(one.path) for one in in_use.outside if one.in_repository),
            examined={root / path for path in named},
            modules=modules,
        )

    def __call__(self) -> tuple[LaterFile, ...]:
        modules = len(sys.modules)
        if modules != self.modules:
            self.modules = modules
            with suppress(Exception):  # a save does not end for this
                self._look()
        return self.rows

    def _look(self) -> None:
        lines = []
        known: dict[Path, Path | None] = {}
        for file in used_files():
            if file.path in self.examined:
                continue
            self.examined.add(file.path)
            own = repository_of(file.path.parent, known)
            if self._is_captured(file.path, own) or is_installed(str(file.path)):
                continue
            inside = file.path.is_relative_to(self.root)
            path = file.path.relative_to(self.root).as_posix() if inside else str(file.path)
            row = LaterFile(path, digest(file.path))
            self.rows = (*self.rows, row)
            if own not in self.outside:
                lines.append(str(row))
        warn_in_use(lines, stacklevel=4)

    def _is_captured(self, path: Path, own: Path | None) -> bool:
        """Return True if the snapshot has a file at this path, or may have it."""
        if not path.is_relative_to(self.root):
            return False
        name = os.fsencode(path.relative_to(self.root).as_posix())
        if name in self.captured:
            return True
        folder = (own or self.root).relative_to(self.root).as_posix()
        prefix = b"" if folder == "." else os.fsencode(folder) + b"/"
        index = self.indexes.get(prefix)
        if index is None:
            return False
        inner = name.removeprefix(prefix)
        return not is_searchable(index) or inner in indexed(index, [inner])
