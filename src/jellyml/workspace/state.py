"""A state: everything in a workspace that an operation can change, as one commit in the store.

It contains HEAD; the bytes of the index, and blobs that only the index has; the files on disk
with their modes, and empty folders; the files of a merge or rebase in progress. Paths that are
left in place (ignored, too large, a checkpoint) are listed, but not stored.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jellyml.errors import GitError
from jellyml.fs.directory import is_inside
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository
from jellyml.workspace.on_disk import LeftInPlace, Modes
from jellyml.workspace.operation_log import is_head, is_object_id

# Git's files of an operation in progress: merge, rebase, am, cherry-pick, revert and bisect
# (git's path.c and worktree.c; MERGE_AUTOSTASH and AUTO_MERGE since 2.27).
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


@dataclass(frozen=True, slots=True)
class Head:
    """HEAD: a full ref name (a branch or its alias) or None, and a commit or None (unborn)."""

    ref: str | None
    commit: str | None


@dataclass(frozen=True, slots=True)
class State:
    """A state in the store. ``commit`` is its name; the object ids are blobs in the store."""

    commit: str
    head: Head
    files: str  # a tree
    index: str | None
    index_mtime_ns: int
    operation: Mapping[str, str]
    operation_modes: Mapping[str, int] = field(default_factory=dict)
    elsewhere: str | None = None  # another worktree that had the branch checked out
    shared: Mapping[str, str] = field(default_factory=dict)  # parts of a split index
    modes: Modes = field(default_factory=lambda: Modes(0o022))
    empty: frozenset[bytes] = frozenset()
    left: LeftInPlace = field(default_factory=lambda: LeftInPlace(()))
    lfs: frozenset[bytes] = frozenset()
    staged: frozenset[str] = frozenset()


def head_of(repository: Repository) -> Head:
    """Return HEAD. If it names an alias of a branch, the ref is the alias."""
    return Head(head_ref(repository), repository.commit())


def head_ref(repository: Repository) -> str | None:
    """Return the full name of the ref that HEAD names; None if it is detached."""
    place = repository.git_dir / "HEAD"
    if (repository.common_dir / "reftable").is_dir():  # with reftable the file has no ref
        command = ("symbolic-ref", "-q", "--no-recurse", "HEAD")
        return os.fsdecode(repository.git.run(*command, accept=(0, 1))).strip() or None
    if place.is_symlink():  # core.preferSymlinkRefs
        return os.fspath(place.readlink())
    first, _, ref = os.fsdecode(place.read_bytes()).partition(":")
    return ref.strip() if first == "ref" else None


def operation_files(git_dir: Path) -> Iterator[tuple[str, bytes]]:
    """Yield git's files of an operation in progress, with their paths. Links are skipped."""
    for name in OPERATION:
        path = git_dir / name
        if path.is_symlink():
            continue
        for parent, _, names in os.walk(path) if path.is_dir() else [(git_dir, (), [name])]:
            for inner in names:
                file = Path(parent, inner)
                with suppress(FileNotFoundError):
                    if stat.S_ISREG(file.lstat().st_mode):
                        yield file.relative_to(git_dir).as_posix(), file.read_bytes()


def as_json(state: State) -> bytes:
    """Return everything in a state that is not a git object; ``read`` parses it."""

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
        "operation_modes": dict(state.operation_modes),
    }
    return json.dumps(record).encode()


def read(git: Git, name: str) -> State:
    """Read the state of a commit in the store, or of a ref to one.

    Raises GitError if it is missing, or if JellyML did not write it: the store may come from an
    untrusted folder.
    """
    wanted = (name, f"{name}^{{tree}}", f"{name}:state.json")
    (commit, _), (_, tree), (_, content) = git.look_up(wanted, most=_LARGEST)
    try:
        entries = dict(_entries(tree, len(commit) // 2))
        operation = entries.get("operation")
        listed = git.run("ls-tree", "-rz", operation).split(b"\0")[:-1] if operation else []
        state = _state(commit, entries, listed, json.loads(content))
        _check(state)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise GitError(f"The state {name} cannot be read: {error}.") from None
    return state


def _state(
    commit: str, entries: Mapping[str, str], operation: list[bytes], record: dict[str, Any]
) -> State:
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
            for fields, _, path in (row.partition(b"\t") for row in operation)
        },
        operation_modes=dict(record.get("operation_modes") or {}),
        elsewhere=record.get("elsewhere"),
        shared={name: oid for name, oid in entries.items() if name.startswith("sharedindex.")},
        modes=Modes(record["umask"], modes("modes"), modes("folders")),
        empty=paths("empty"),
        left=LeftInPlace(paths("left")),
        lfs=paths("lfs"),
        staged=frozenset(record["staged"]),
    )


_LARGEST = 64 << 20  # bytes; the file for 50,000 paths takes a hundredth of it
_SHARED = re.compile(r"sharedindex\.[0-9a-f]{40,64}")
_LATEST = 1 << 63  # maximum nanoseconds of a file's time


def _check(state: State) -> None:
    """Raise ValueError or TypeError for a path outside, or a value of the wrong type."""
    modes = (
        state.modes.umask,
        *state.modes.files.values(),
        *state.modes.folders.values(),
        *state.operation_modes.values(),
    )
    paths = {*state.modes.files, *state.modes.folders, *state.empty, *state.lfs}
    if not (
        is_head(state.head.ref, state.head.commit)
        and all(map(is_inside, paths))
        and all(type(mode) is int and 0 <= mode <= 0o7777 for mode in modes)
        and type(state.index_mtime_ns) is int
        and abs(state.index_mtime_ns) < _LATEST
        and all(map(_SHARED.fullmatch, state.shared))
        and all(map(_is_of_an_operation, (*state.operation, *state.operation_modes)))
        and all(map(is_object_id, state.staged))
        and isinstance(state.elsewhere, (str, type(None)))
    ):
        raise ValueError("JellyML did not write it")


def _is_of_an_operation(name: str) -> bool:
    first = name.partition("/")[0]
    return first in OPERATION and is_inside(os.fsencode(name))


def _entries(tree: bytes, id_size: int) -> Iterator[tuple[str, str]]:
    """Yield the names and ids in a tree object."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        name = tree[tree.index(b" ", at) + 1 : end]
        at = end + 1 + id_size
        yield os.fsdecode(name), tree[end + 1 : at].hex()
