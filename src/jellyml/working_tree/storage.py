"""Leave git's own storage out of a scan, wherever it is in the working tree.

Git lists it as untracked files when its name is not ``.git``.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from jellyml.repo.paths import at
from jellyml.repo.storage import Storage, storage_inside
from jellyml.repo.work_tree import looks_like_git
from jellyml.working_tree.scan import Scan


def without_storage(scan: Scan) -> Scan:
    """Return the scan without the storage of its repositories.

    ``storage`` of the outermost scan names it, and it counts as ignored.
    """
    repositories = [layer.repository for _, layer in scan.layers() if not layer.plain]
    root = scan.repository.root
    storage = storage_inside(root, repositories, _dot_gits(root, scan.untracked))
    return replace(_filtered(scan, b"", storage), storage=storage) if storage else scan


def _dot_gits(root: Path, untracked: Iterable[bytes]) -> list[Path]:
    """Return each ``.git`` that is a file or a link, if a git directory is among the files.

    Git does not list a nested repository in a folder with tracked files. To find it takes a walk,
    which is made only if something looks like its git directory.
    """
    heads = (at(root, path) for path in untracked if path.endswith(b"/HEAD"))
    if not any(looks_like_git(head.parent) for head in heads):
        return []
    found = []
    for parent, folders, names in os.walk(root):
        own = Path(parent, ".git")
        if ".git" in names or own.is_symlink():
            found.append(own)
        folders[:] = [name for name in folders if name != ".git"]
    return found


def _filtered(scan: Scan, prefix: bytes, storage: Storage) -> Scan:
    def kept(paths: Iterable[bytes]) -> tuple[bytes, ...]:
        return tuple(path for path in paths if not storage.holds(prefix + path))

    inside = [path[len(prefix) :] for path in storage.paths if path.startswith(prefix)]
    overlay = {path: scan.overlay[path] for path in kept(scan.overlay)}
    nested = {
        path: _filtered(scan.nested[path], prefix + path + b"/", storage)
        for path in kept(scan.nested)
    }
    return replace(
        scan,
        overlay=overlay | dict.fromkeys(_tracked(scan, inside)),
        untracked=frozenset(kept(scan.untracked)),
        hidden=frozenset(kept(scan.hidden)),
        indexed={path: scan.indexed[path] for path in kept(scan.indexed)},
        nested=nested,
        ignored=(*kept(scan.ignored), *inside),
        unreadable=kept(scan.unreadable),
        closed=kept(scan.closed),
    )


def _tracked(scan: Scan, paths: Iterable[bytes]) -> list[bytes]:
    """Return the paths that HEAD has: a snapshot deletes them, since files of git are not code."""
    if scan.plain or not scan.head:
        return []
    git = scan.repository.git
    return [path for path in paths if git.run("ls-tree", "-z", scan.head, b":(literal)" + path)]
