"""Read a working tree: the selection, its bytes on disk, and the key that names both.

``read`` is how other packages look at a working tree. It writes nothing and starts no filter.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jellyml.repo.paths import status
from jellyml.repo.repository import Repository
from jellyml.snapshot.facts import CodeFacts, Nested
from jellyml.working_tree.attributes import rule_files, shared_files
from jellyml.working_tree.contents import Contents, raw_id
from jellyml.working_tree.scan import Scan, scan
from jellyml.working_tree.selection import (
    Limits,
    Selection,
    select,
    without_promised,
    without_refused,
    without_unreadable,
)
from jellyml.working_tree.status import PlainIndexes

# A file as new as this may change again without a new time: its bytes are then compared.
_FRESH = 2.0

Signature = tuple[int, int, int, int] | None


@dataclass(frozen=True, slots=True)
class WorkingTree:
    """A working tree at the time of one read."""

    selection: Selection
    contents: Contents
    signatures: tuple[Signature, ...]
    indexes: Mapping[str, bool] = field(default_factory=dict)  # for ``read`` the next time
    _keys: dict[tuple[object, ...], str] = field(default_factory=dict, init=False, repr=False)

    def key(self, *options: object) -> str:
        """A name for the code and ``options``: the same for the same code on any machine.

        The state of the index is not part of it. Raises ChangedMeanwhile.
        """
        if options not in self._keys:
            self._keys[options] = _key(self.selection, self.contents, *options)
        return self._keys[options]

    def facts(self) -> CodeFacts:
        """What the read says of the repository. The fields of a commit are not set."""
        found = self.selection.scan
        left_out = (*self.selection.left_out, *self.contents.unreadable)
        return CodeFacts(
            root=self.selection.root,
            base=found.head,
            branch=found.branch,
            changed=self.selection.changed,
            remotes=_remotes(found),
            left_out=tuple(dict.fromkeys(left_out)),
            data=self.selection.data,
            nested=tuple(
                Nested(os.fsdecode(prefix[:-1]), layer.head, layer.branch, _remotes(layer))
                for prefix, layer in found.layers()
                if prefix and not layer.plain
            ),
        )

    def is_unchanged(self) -> bool:
        """True where every file on disk still has the bytes that the given keys name.

        False where a file could not be read: it may be readable the next time.
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
    """Read the working tree of ``repository``, which may be a guess; change nothing.

    What another machine could not load is left out. With ``exact`` it is kept, and the scan
    names ignored paths too. ``indexes`` is what an earlier read found of them: one that
    it knows is not listed again. ``meanwhile`` is called with the repository while git works.
    Raises GitError, TookTooLong, WrongGuess.
    """
    plain = PlainIndexes(dict(indexes or {}))
    selection = select(scan(repository, ignored=exact, plain=plain, meanwhile=meanwhile), limits)
    if not exact:
        selection = without_refused(without_promised(without_unreadable(selection)))
    return WorkingTree(selection, Contents(selection), _signatures(selection), plain.now)


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
        found = selection.overlay[path]
        if found is None:
            _add(digest, b"D", path)
            continue
        oid = found.oid
        if oid is None:
            content = contents.read(path, found)
            oid = b"" if content is None else raw_id(content, scan.repository.object_format)
        _add(digest, found.mode, path, oid)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", *parts: bytes | str) -> None:
    for part in parts:
        data = part if isinstance(part, bytes) else os.fsencode(part)
        digest.update(b"%d:" % len(data) + data)


def _rules(layer: Scan) -> Iterator[bytes | str]:
    yield repr(sorted(layer.conversion().items()))
    shared = shared_files(layer.repository, layer.config)
    read = [path for path, found in layer.overlay.items() if found and found.oid is None]
    for file in (*shared, *rule_files(layer.repository.root, read)):
        yield os.fspath(file)
        yield _read(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _signatures(selection: Selection) -> tuple[Signature, ...]:
    """What tells that a file on disk has changed, for each file that is read."""
    signatures: list[Signature] = []
    for path, found in selection.overlay.items():
        if found and found.oid is None:
            try:
                seen = status(selection.root, path)
            except OSError:
                signatures.append(None)
            else:
                signatures.append((seen.st_ctime_ns, seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return tuple(signatures)


def _is_fresh(signatures: tuple[Signature, ...]) -> bool:
    """True where a file may have changed twice within one tick of its file system's clock."""
    since = (time.time() - _FRESH) * 1e9
    return any(one is None or one[0] > since for one in signatures)


def _remotes(found: Scan) -> dict[str, str]:
    return {
        name.removeprefix("remote.").removesuffix(".url"): address
        for name, address in found.config.items()
        if name.startswith("remote.") and name.endswith(".url")
    }
