"""A state: all of a workspace that an operation could change, as one commit in the store.

HEAD; the index as its own bytes, and the blobs that only it holds; the files as they lie on
disk, with their modes, and the empty folders; the files of a merge or rebase in progress.
What is left where it lies (ignored, too large, a checkpoint) is named, not held.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from jellyml.code.contents import Contents
from jellyml.code.repository import Git, Repository
from jellyml.code.scan import Scan, at, scan
from jellyml.code.scratch import Change, Scratch, header
from jellyml.code.selection import MAX_FILE_SIZE, MAX_UNTRACKED, Selection, select
from jellyml.code.tree import changes
from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.workspace import disk, worktrees
from jellyml.workspace.disk import Layout, Left, Modes

# What git keeps of an operation in progress: left by merge, rebase, am, cherry-pick, revert
# and bisect (git's path.c and worktree.c; MERGE_AUTOSTASH and AUTO_MERGE since 2.27).
OPERATION = (
    "MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "MERGE_RR", "MERGE_AUTOSTASH", "AUTO_MERGE",
    "SQUASH_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "BISECT_LOG",
    "BISECT_START", "BISECT_TERMS", "BISECT_NAMES", "BISECT_EXPECTED_REV", "BISECT_RUN",
    "BISECT_ANCESTORS_OK", "BISECT_FIRST_PARENT", "rebase-merge", "rebase-apply", "sequencer",
)  # fmt: skip
EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
# Git writes it, and the index names it, for a file that is intended to be added.
_EMPTY_BLOB = {
    "sha1": "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "sha256": "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
_SIDECAR = b"jellyml_code_snapshot.bundle"  # checkpoint.SIDECAR, which takes long to import
_OBJECT_ID = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")


@dataclass(frozen=True, slots=True)
class Head:
    """Where HEAD stands: a branch or its alias (full ref name) or not, a commit or not (unborn)."""

    ref: str | None
    commit: str | None


@dataclass(frozen=True, slots=True)
class State:
    """A state in the store; ``commit`` names it, object ids are blobs there."""

    commit: str
    head: Head
    files: str  # a tree
    index: str | None
    index_mtime_ns: int
    operation: Mapping[str, str]
    elsewhere: str | None = None  # another worktree that had the branch at the time
    shared: Mapping[str, str] = field(default_factory=dict)  # parts of a split index
    modes: Modes = field(default_factory=lambda: Modes(0o022))
    empty: frozenset[bytes] = frozenset()
    left: Left = field(default_factory=lambda: Left(()))
    lfs: frozenset[bytes] = frozenset()
    staged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Draft:
    """A state in a scratch directory, not kept yet."""

    scan: Scan
    selection: Selection
    state: State
    user_commits: tuple[str, ...]
    converted: frozenset[bytes]  # clean files whose bytes are not their blob's
    large: tuple[Path, ...]  # where git-lfs has the contents that the state does not hold itself


def head_of(repository: Repository) -> Head:
    """HEAD as it stands now: on an alias of a branch it is on the alias."""
    return Head(head_ref(repository), repository.commit())


def head_ref(repository: Repository) -> str | None:
    """The full name of the ref that HEAD names; None where it is detached."""
    place = repository.git_dir / "HEAD"
    if (repository.common_dir / "reftable").is_dir():  # the file only says so
        asked = ("symbolic-ref", "-q", "--no-recurse", "HEAD")
        return os.fsdecode(repository.git.run(*asked, accept=(0, 1))).strip() or None
    if place.is_symlink():  # core.preferSymlinkRefs
        return os.fspath(place.readlink())
    first, _, ref = os.fsdecode(place.read_bytes()).partition(":")
    return ref.strip() if first == "ref" else None


def _elsewhere(repository: Repository, now: Head) -> str | None:
    other = worktrees.holder(repository, now.ref) if now.ref else None
    return os.fspath(other) if other else None


def look(repository: Repository, inherited: Left, also_left: tuple[bytes, ...] = ()) -> Selection:
    """Scan for a state: the limits hold, and what was left lying before stays left."""
    # Without filters: what lies in the tree may be a stranger's, and a state holds raw bytes.
    found = scan(repository, ignored=True, filters=False)
    selection = select(found, max_file_size=MAX_FILE_SIZE, max_untracked=MAX_UNTRACKED)
    for one in selection.left_out:
        if one.reason == "unreadable" and _may_be_read(selection.root, one.path):
            raise _unreadable(one.path)
    staying = Left((*inherited.paths, *also_left, *_of_checkpoints(selection)))
    untracked = _untracked(selection)
    overlay = {
        path: entry
        for path, entry in selection.overlay.items()
        if not (path in untracked and path in staying)
    }
    return replace(selection, overlay=overlay)


def _may_be_read(root: Path, name: str) -> bool:
    """An untracked file that may not be read is left where it lies. One that may, and could not
    be, is not: a disk that fails, or too many open files, must not decide what a state holds.
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
    """The files of a folder that carries a snapshot: together one checkpoint, small ones too."""
    untracked = _untracked(selection)
    folders = {parent for path in untracked for parent in disk.parents(path)}
    filled = {one for one in folders if os.path.lexists(at(selection.root, one + b"/" + _SIDECAR))}
    return (path for path in untracked if not filled.isdisjoint(disk.parents(path)))


def left_lying(selection: Selection, inherited: Left) -> Left:
    """All that a state leaves where it is: ignored, left out, inherited."""
    paths = [os.fsencode(one.path) for one in selection.left_out]
    paths += _of_checkpoints(selection)
    for prefix, layer in selection.scan.layers():
        paths += (prefix + path for path in layer.ignored)
    root = selection.root
    there = (path for path in inherited.paths if os.path.lexists(at(root, path)))
    return Left((*paths, *there))


def draft(
    place: Scratch, selection: Selection, left: Left, now: Head, repository: Repository
) -> Draft:
    """Build the state of the workspace as it was looked at in a scratch directory."""
    found = selection.scan
    raw = disk.raw(found, place)
    overlay = {**selection.overlay, **raw.overlay}
    # A sparse checkout's absent paths are absent: this is the disk, not the code.
    for prefix, layer in found.layers():
        overlay |= dict.fromkeys((prefix + path for path in layer.hidden), None)
    as_is = replace(selection, overlay=overlay)
    index, mtime = _index(repository)
    shared = {one.name: one.read_bytes() for one in repository.git_dir.glob("sharedindex.*")}
    parts = (index or b"", *shared.values())
    operation = dict(operation_files(repository.git_dir))
    state = State(
        commit="",
        head=now,
        files="",
        index="",
        index_mtime_ns=mtime,
        operation={},
        elsewhere=_elsewhere(repository, now),
        left=left,
        lfs=frozenset(raw.lfs),
        staged=frozenset(_staged(found, parts)),
    )
    contents = Contents(as_is)
    tracked = _tracked(repository, selection, left)
    around = partial(disk.layout, repository.root, left, tracked)
    beside = _beside(state, index, shared, operation, around)
    commit = place.commit(header(0, None), _lines(place, as_is, contents, beside))
    kept = [now.commit, *_named_commits(repository.git, operation.values())]
    built = read(place.git, commit)
    converted = frozenset((raw.overlay.keys() | raw.lfs.keys()) - selection.overlay.keys())
    commits = tuple(one for one in kept if one)
    return Draft(found, as_is, built, commits, converted, tuple(raw.lfs.values()))


def _tracked(repository: Repository, selection: Selection, left: Left) -> Iterator[bytes]:
    """Files that were left lying once, and that git knows by now."""
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


def _staged(found: Scan, index: Iterable[bytes]) -> Iterator[str]:
    """Blobs that only the index holds. Of what is intended to be added git says none."""
    yield from (oid.decode() for oid in found.staged)
    empty = _EMPTY_BLOB[found.repository.object_format]
    if any(bytes.fromhex(empty) in part for part in index):
        yield empty


def _beside(
    state: State,
    index: bytes | None,
    shared: Mapping[str, bytes],
    operation: Mapping[str, bytes],
    around: Callable[[], Layout],
) -> Iterator[Change]:
    """What a state holds beside its files."""
    for name, content in shared.items():
        yield Change(os.fsencode(name), b"100644", content=content)
    for name, content in operation.items():
        yield Change(b"operation/" + os.fsencode(name), b"100644", content=content)
    for oid in sorted(state.staged):
        held = None if oid in _EMPTY_BLOB.values() else oid.encode()  # a gc may have taken it
        yield Change(b"staged/" + oid.encode(), b"100644", oid=held)
    if index is not None:
        yield Change(b"index", b"100644", content=index)
    # The walk last, while git is at work on the index: together they take what one takes.
    found = around()
    whole = replace(state, modes=found.modes, empty=frozenset(found.empty))
    yield Change(b"state.json", b"100644", content=_as_json(whole))


def _index(repository: Repository) -> tuple[bytes | None, int]:
    try:
        with repository.index.open("rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None, 0


def operation_files(git_dir: Path) -> Iterator[tuple[str, bytes]]:
    for name in OPERATION:
        path = git_dir / name
        if path.is_dir():
            for parent, _, names in os.walk(path):
                for inner in names:
                    file = Path(parent, inner)
                    with suppress(FileNotFoundError):
                        yield file.relative_to(git_dir).as_posix(), file.read_bytes()
        elif path.exists():
            yield name, path.read_bytes()


def _named_commits(git: Git, contents: Iterable[bytes]) -> list[str]:
    """Commits that the files of an operation name: a gc must not take them."""
    named = sorted({one for content in contents for one in _OBJECT_ID.findall(content)})
    if not named:
        return []
    answer = git.run("cat-file", "--batch-check", stdin=b"\n".join(named) + b"\n")
    return [line.split()[0].decode() for line in answer.splitlines() if b" commit " in line]


def _as_json(state: State) -> bytes:
    def text(path: bytes) -> str:
        return os.fsdecode(path)

    record = {
        "ref": state.head.ref,
        "commit": state.head.commit,
        "elsewhere": state.elsewhere,
        "index_mtime_ns": state.index_mtime_ns,
        "umask": state.modes.umask,
        "modes": {text(path): mode for path, mode in state.modes.files.items()},
        "folders": {text(path): mode for path, mode in state.modes.folders.items()},
        "empty": sorted(map(text, state.empty)),
        "left": sorted(map(text, state.left.paths)),
        "lfs": sorted(map(text, state.lfs)),
        "staged": sorted(state.staged),
    }
    return json.dumps(record).encode()


def read(git: Git, name: str) -> State:
    """The state that a commit in the store, or a ref to one, holds. GitError when it is gone."""
    wanted = (name, f"{name}^{{tree}}", f"{name}:state.json")
    (commit, _), (_, tree), (_, content) = git.look_up(wanted)
    entries = dict(_entries(tree, len(commit) // 2))
    operation = entries.get("operation")
    listed = git.run("ls-tree", "-rz", operation).split(b"\0")[:-1] if operation else ()
    record = json.loads(content)

    def paths(name: str) -> frozenset[bytes]:
        return frozenset(map(os.fsencode, record[name]))

    def modes(name: str) -> dict[bytes, int]:
        return {os.fsencode(path): mode for path, mode in record[name].items()}

    return State(
        commit=commit,
        head=Head(record["ref"], record["commit"]),
        files=entries.get("files", EMPTY_TREE["sha1" if len(commit) == 40 else "sha256"]),
        index=entries.get("index"),
        index_mtime_ns=record["index_mtime_ns"],
        operation={
            os.fsdecode(path): fields.split()[2].decode()
            for fields, _, path in (row.partition(b"\t") for row in listed)
        },
        elsewhere=record.get("elsewhere"),
        shared={name: oid for name, oid in entries.items() if name.startswith("sharedindex.")},
        modes=Modes(record["umask"], modes("modes"), modes("folders")),
        empty=paths("empty"),
        left=Left(paths("left")),
        lfs=paths("lfs"),
        staged=frozenset(record["staged"]),
    )


def _entries(tree: bytes, id_size: int) -> Iterator[tuple[str, str]]:
    """The names in a tree object and their ids."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        name = tree[tree.index(b" ", at) + 1 : end]
        at = end + 1 + id_size
        yield os.fsdecode(name), tree[end + 1 : at].hex()
