"""Read a working tree: the selection, its bytes on disk, and the key of both.

``read`` is the entry point for other packages. It writes nothing and starts no filter.
"""

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jellyml.repo.paths import status
from jellyml.repo.repository import Repository
from jellyml.snapshot.facts import CodeFacts, Nested
from jellyml.working_tree.attributes import rule_files, shared_files
from jellyml.working_tree.contents import Contents, raw_id
from jellyml.working_tree.ignored import with_files
from jellyml.working_tree.scan import Scan, scan
from jellyml.working_tree.selection import (
    Limits,
    Selection,
    select,
    with_promised,
    without_promised,
    without_refused,
    without_unreadable,
)
from jellyml.working_tree.status import PlainIndexes
from jellyml.working_tree.storage import without_storage

# Seconds: a newer file may change again without a new mtime, so its bytes are compared.
_FRESH = 2.0

Signature = tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """A working tree at the time of one read."""

    selection: Selection
    contents: Contents
    signatures: tuple[Signature, ...]
    indexes: Mapping[str, bool] = field(default_factory=dict)  # to pass to the next ``read``
    _keys: dict[tuple[object, ...], str] = field(default_factory=dict, init=False, repr=False)

    def key(self, *options: object) -> str:
        """Return a digest of the code and ``options``, equal for equal code on any machine.

        The state of the index is not part of it. Raise ChangedMeanwhile if a file changes.
        """
        if options not in self._keys:
            self._keys[options] = _key(self.selection, self.contents, *options)
        return self._keys[options]

    def facts(self) -> CodeFacts:
        """Return the facts of this read. The fields of the snapshot's commit are not set."""
        scan = self.selection.scan
        left_out = (*self.selection.left_out, *self.contents.unreadable)
        return CodeFacts(
            root=self.selection.root,
            base=scan.head,
            branch=scan.branch,
            changed=self.selection.changed,
            remotes=remotes(scan),
            left_out=tuple(dict.fromkeys(left_out)),
            data=self.selection.data,
            nested=tuple(
                Nested(os.fsdecode(prefix[:-1]), layer.head, layer.branch, remotes(layer))
                for prefix, layer in scan.layers()
                if prefix and not layer.plain
            ),
        )

    def is_unchanged(self) -> bool:
        """Return True if every file on disk still has the bytes of the returned keys.

        Return False if a file could not be read: it may be readable the next time.
        """
        if self.contents.unreadable or _signatures(self.selection) != self.signatures:
            return False
        if not _is_fresh(self.signatures):
            return True
        again = Contents(self.selection)
        return all(_key(self.selection, again, *one) == key for one, key in self._keys.items())


def read(
    repository: Repository,
    limits: Limits,
    *,
    exact: bool = False,
    indexes: Mapping[str, bool] | None = None,
    meanwhile: Callable[[Repository], None] = lambda _: None,
) -> WorkingTree:
    """Return the working tree of ``repository``, which may be a guess. Change nothing.

    Files that another machine could not load are left out. With ``exact`` they are included,
    and the scan lists ignored paths too. ``indexes`` comes from an earlier read: an index in it
    is not listed again. ``meanwhile`` is called with the repository while git runs.
    Raise GitError, TookTooLong or WrongGuess.
    """
    plain = PlainIndexes(dict(indexes or {}))
    scanned = scan(repository, ignored=exact, plain=plain, meanwhile=meanwhile)
    selection = select(without_storage(scanned), limits)
    if exact:
        selection = with_promised(selection)
    else:
        selection = without_refused(without_promised(without_unreadable(selection)))
    return WorkingTree(selection, Contents(selection), _signatures(selection), plain.now)


def including(tree: WorkingTree, paths: Collection[bytes], limits: Limits) -> WorkingTree:
    """Return the tree with ignored files as well, as if they were untracked. The limits apply."""
    selection = select(with_files(tree.selection.scan, paths), limits)
    selection = without_refused(without_promised(without_unreadable(selection)))
    return WorkingTree(selection, Contents(selection), _signatures(selection), tree.indexes)


def _key(selection: Selection, contents: Contents, *options: object) -> str:
    scan = selection.scan
    digest = hashlib.sha256()
    _add(digest, b"jellyml-3", scan.repository.object_format, repr(options))
    for prefix, layer in scan.layers():
        _add(digest, b"layer", prefix, layer.head or b"")
        if layer.attributes:
            _add(digest, *_rules(layer))
    _add(digest, _read(scan.repository.common_dir / "shallow"))
    for path in sorted(selection.overlay):
        entry = selection.overlay[path]
        if entry is None:
            _add(digest, b"D", path)
            continue
        oid = entry.oid
        if oid is None:
            content = contents.read(path, entry)
            oid = b"" if content is None else raw_id(content, scan.repository.object_format)
        _add(digest, entry.mode, path, oid)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", *parts: bytes | str) -> None:
    for part in parts:
        data = part if isinstance(part, bytes) else os.fsencode(part)
        digest.update(b"%d:" % len(data) + data)


def _rules(layer: Scan) -> Iterator[bytes | str]:
    yield repr(sorted(layer.conversion().items()))
    shared = shared_files(layer.repository, layer.config)
    read_paths = [path for path, entry in layer.overlay.items() if entry and entry.oid is None]
    for file in (*shared, *rule_files(layer.repository.root, read_paths)):
        yield os.fspath(file)
        yield _read(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _signatures(selection: Selection) -> tuple[Signature, ...]:
    """Return ctime, mtime, size and inode of each file that is read; None if unreadable."""
    signatures: list[Signature] = []
    for path, entry in selection.overlay.items():
        if entry and entry.oid is None:
            try:
                info = status(selection.root, path)
            except OSError:
                signatures.append(None)
            else:
                signatures.append((info.st_ctime_ns, info.st_mtime_ns, info.st_size, info.st_ino))
    return tuple(signatures)


def _is_fresh(signatures: tuple[Signature, ...]) -> bool:
    """Return True if a file may have changed twice within one tick of the file system's clock."""
    since = (time.time() - _FRESH) * 1e9
    return any(one is None or one[0] > since for one in signatures)


def remotes(scan: Scan) -> dict[str, str]:
    """Return the addresses of a repository's remotes, by name."""
    return {
        name.removeprefix("remote.").removesuffix(".url"): address
        for name, address in scan.config.items()
        if name.startswith("remote.") and name.endswith(".url")
    }
