"""Build a state from the current workspace, in a scratch directory."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.repo import paths, worktrees
from jellyml.repo.git import Git
from jellyml.repo.paths import at
from jellyml.repo.repository import Repository
from jellyml.working_tree import reader
from jellyml.working_tree.commit import changes
from jellyml.working_tree.contents import Contents
from jellyml.working_tree.reader import WorkingTree
from jellyml.working_tree.scan import Scan, on_disk
from jellyml.working_tree.scratch import Change, Scratch, header
from jellyml.working_tree.selection import Limits, Selection
from jellyml.working_tree.status import is_plain
from jellyml.workspace import on_disk as workspace_on_disk
from jellyml.workspace.on_disk import Layout, LeftInPlace
from jellyml.workspace.state import Head, State, as_json, operation_files, read

# Git writes this blob, and the index names it, for a file added with ``--intent-to-add``.
_EMPTY_BLOB = {
    "sha1": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "sha256": "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
_SIDECAR = b"jellyml_code_snapshot.bundle"  # checkpoint.SIDECAR, which takes long to import
_OBJECT_ID = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")


@dataclass(frozen=True, slots=True)
class Draft:
    """A state in a scratch directory that is not saved yet."""

    scan: Scan
    selection: Selection
    state: State
    user_commits: tuple[str, ...]
    converted: frozenset[bytes]  # clean files whose bytes differ from their blob
    large: tuple[Path, ...]  # git-lfs's files for content that the state does not contain


def look(repository: Repository, inherited: LeftInPlace) -> WorkingTree:
    """Read the workspace for a state. Limits apply, and paths left in place before stay so."""
    tree = reader.read(repository, Limits(), exact=True)
    selection = tree.selection
    closed = closed_repositories(selection.scan)
    for one in selection.left_out:
        if os.fsencode(one.path) in closed:
            continue  # a whole folder, which is left in place
        if one.reason == "unreadable" and _may_be_read(selection.root, one.path):
            raise _unreadable(one.path)
    staying = LeftInPlace((*inherited.paths, *_of_checkpoints(selection)))
    untracked = _untracked(selection)
    overlay = {
        path: entry
        for path, entry in selection.overlay.items()
        if not (path in untracked and path in staying)
    }
    return replace(tree, selection=replace(selection, overlay=overlay))


def closed_repositories(scan: Scan) -> list[bytes]:
    """Return the nested repositories that git cannot read. Their files stay as they are."""
    return [prefix + path for prefix, layer in scan.layers() for path in layer.closed]


def _may_be_read(root: Path, name: str) -> bool:
    """Return whether an untracked file is permitted to be read. If not, it is left in place.

    A permitted file that cannot be read is an error: a failing disk, or too many open files, must
    not decide what a state contains.
    """
    return os.access(at(root, os.fsencode(name)), os.R_OK)


def _unreadable(name: str) -> UnsafeToContinue:
    return UnsafeToContinue(
        f"{name} cannot be read, so it could not be brought back.",
        f"chmod u+r {pasteable(name)}, or try again",
    )


def _untracked(selection: Selection) -> frozenset[bytes]:
    return frozenset(
        prefix + path for prefix, layer in selection.scan.layers() for path in layer.untracked
    )


def _of_checkpoints(selection: Selection) -> Iterator[bytes]:
    """Yield the untracked files of folders with a snapshot: together they are one checkpoint."""
    untracked = _untracked(selection)
    folders = {parent for path in untracked for parent in paths.parents(path)}
    filled = {one for one in folders if os.path.lexists(at(selection.root, one + b"/" + _SIDECAR))}
    return (path for path in untracked if not filled.isdisjoint(paths.parents(path)))


def left_in_place(selection: Selection, inherited: LeftInPlace) -> LeftInPlace:
    """Return all paths that a state leaves in place: ignored, left out, inherited."""
    paths = [os.fsencode(one.path) for one in selection.left_out]
    paths += _of_checkpoints(selection)
    for prefix, layer in selection.scan.layers():
        paths += (prefix + path for path in layer.ignored)
    root = selection.root
    there = (path for path in inherited.paths if os.path.lexists(at(root, path)))
    return LeftInPlace((*paths, *there))


def make_draft(
    place: Scratch,
    tree: WorkingTree,
    left: LeftInPlace,
    now: Head,
    repository: Repository,
    stale: frozenset[bytes],
) -> Draft:
    """Build the state of the scanned workspace in a scratch directory."""
    selection, scanned = tree.selection, tree.selection.scan
    raw = workspace_on_disk.raw(scanned, place)
    reread = {path: on_disk(selection.root, path) for path in stale}
    overlay = {**selection.overlay, **raw.overlay, **reread}
    # Paths that a sparse checkout omits are absent: a state records the disk, not the code.
    for prefix, layer in scanned.layers():
        overlay |= dict.fromkeys((prefix + path for path in layer.hidden), None)
    as_is = replace(selection, overlay=overlay)
    index, mtime = _index(repository)
    parts_of_index = filter(is_plain, repository.git_dir.glob("sharedindex.*"))
    shared = {one.name: one.read_bytes() for one in parts_of_index}
    parts = (index or b"", *shared.values())
    operation = dict(operation_files(repository.git_dir))
    state = State(
        commit="",
        head=now,
        files="",
        index="",
        index_mtime_ns=mtime,
        operation={},
        operation_modes=dict(_modes(repository.git_dir, operation)),
        elsewhere=_elsewhere(repository, now),
        left=left,
        lfs=frozenset(raw.lfs),
        staged=frozenset(_staged(scanned, parts)),
    )
    tracked = _tracked(repository, selection, left)
    layout = partial(workspace_on_disk.layout, repository.root, left, tracked)
    beside = _beside(state, index, shared, operation, layout)
    commit = place.commit(header(0, None), _lines(place, as_is, tree.contents, beside))
    named = [now.commit, *_named_commits(repository.git, operation.values())]
    built = read(place.git, commit)
    clean = raw.overlay.keys() | raw.lfs.keys() | stale
    converted = frozenset(clean - selection.overlay.keys())
    commits = tuple(one for one in named if one)
    return Draft(scanned, as_is, built, commits, converted, tuple(raw.lfs.values()))


def _tracked(repository: Repository, selection: Selection, left: LeftInPlace) -> Iterator[bytes]:
    """Yield files that were left in place and that git tracks by now."""
    hidden = {os.fsencode(one.path) for one in selection.left_out} | _untracked(selection)
    for prefix, layer in selection.scan.layers():
        hidden |= {(prefix + path).rstrip(b"/") for path in layer.ignored}
    if left.paths - hidden:
        listed = repository.git.run("ls-files", "-z").split(b"\0")
        yield from (path for path in listed if path in left)


def _lines(
    place: Scratch, as_is: Selection, contents: Contents, beside: Iterable[Change]
) -> Iterator[Change]:
    head = as_is.scan.head
    untracked = _untracked(as_is)
    if head:
        tree = place.git.line("rev-parse", f"{head}^{{tree}}")
        yield Change(b"files", b"040000", tree.encode())
    for change in changes(as_is, contents, place, convert=False):
        yield replace(change, path=b"files/" + change.path)
    for one in contents.unreadable:
        if os.fsencode(one.path) not in untracked or _may_be_read(as_is.root, one.path):
            raise _unreadable(one.path)
    yield from beside


def _staged(scan: Scan, index: Iterable[bytes]) -> Iterator[str]:
    """Yield blobs that only the index has. git does not list an intent-to-add file."""
    yield from (oid.decode() for oid in scan.staged)
    empty = _EMPTY_BLOB[scan.repository.object_format]
    if any(bytes.fromhex(empty) in part for part in index):
        yield empty


def _beside(
    state: State,
    index: bytes | None,
    shared: Mapping[str, bytes],
    operation: Mapping[str, bytes],
    layout: Callable[[], Layout],
) -> Iterator[Change]:
    """Yield the contents of a state apart from its files."""
    for name, content in shared.items():
        yield Change(os.fsencode(name), b"100644", content=content)
    for name, content in operation.items():
        yield Change(b"operation/" + os.fsencode(name), b"100644", content=content)
    for oid in sorted(state.staged):
        known_oid = (
            None if oid in _EMPTY_BLOB.values() else oid.encode()
        )  # a gc may have removed it
        yield Change(b"staged/" + oid.encode(), b"100644", oid=known_oid)
    if index is not None:
        yield Change(b"index", b"100644", content=index)
    # The walk comes last, while git processes the index: both run at the same time.
    disk_layout = layout()
    whole = replace(state, modes=disk_layout.modes, empty=frozenset(disk_layout.empty))
    yield Change(b"state.json", b"100644", content=as_json(whole))


def _index(repository: Repository) -> tuple[bytes | None, int]:
    try:
        with repository.index.open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None, 0


def _modes(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        with suppress(FileNotFoundError):  # the operation has ended meanwhile
            yield name, stat.S_IMODE((folder / name).lstat().st_mode)


def _named_commits(git: Git, contents: Iterable[bytes]) -> list[str]:
    """Return commits that operation files name: a gc must not remove them."""
    named = sorted({one for content in contents for one in _OBJECT_ID.findall(content)})
    if not named:
        return []
    answer = git.run("cat-file", "--batch-check", stdin=b"\n".join(named) + b"\n")
    return [line.split()[0].decode() for line in answer.splitlines() if b" commit " in line]


def _elsewhere(repository: Repository, now: Head) -> str | None:
    other = worktrees.holder(repository, now.ref) if now.ref else None
    return os.fspath(other) if other else None
