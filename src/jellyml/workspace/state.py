"""A state: all of a workspace that an operation could change, as one commit in the store.

HEAD; the index as its own bytes, and the blobs that only it holds; the files as they lie on
disk, with their modes, and the empty folders; the files of a merge or rebase in progress.
What is left where it lies (ignored, too large, a checkpoint) is named, not held.
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
    left: LeftInPlace = field(default_factory=lambda: LeftInPlace(()))
    lfs: frozenset[bytes] = frozenset()
    staged: frozenset[str] = frozenset()


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


def operation_files(git_dir: Path) -> Iterator[tuple[str, bytes]]:
    """What git keeps of an operation in progress, by path. Links are none of it."""
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
    """All of a state that is no object of git's; ``read`` reads it."""

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
    """The state that a commit in the store, or a ref to one, holds.

    Raises GitError when it is gone, and for what JellyML would not have written: the store may
    have come with a stranger's folder.
    """
    wanted = (name, f"{name}^{{tree}}", f"{name}:state.json")
    (commit, _), (_, tree), (_, content) = git.look_up(wanted, most=_LARGEST)
    try:
        entries = dict(_entries(tree, len(commit) // 2))
        operation = entries.get("operation")
        listed = git.run("ls-tree", "-rz", operation).split(b"\0")[:-1] if operation else []
        found = _state(commit, entries, listed, json.loads(content))
        _check(found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise GitError(f"The state {name} cannot be read: {error}.") from None
    return found


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
        elsewhere=record.get("elsewhere"),
        shared={name: oid for name, oid in entries.items() if name.startswith("sharedindex.")},
        modes=Modes(record["umask"], modes("modes"), modes("folders")),
        empty=paths("empty"),
        left=LeftInPlace(paths("left")),
        lfs=paths("lfs"),
        staged=frozenset(record["staged"]),
    )


_LARGEST = 64 << 20  # bytes: what JellyML writes of 50,000 files is a hundredth of it
_SHARED = re.compile(r"sharedindex\.[0-9a-f]{40,64}")
_LATEST = 1 << 63  # nanoseconds that a file's time can have


def _check(state: State) -> None:
    """Raise ValueError or TypeError where a name leads elsewhere, or a number is none."""
    modes = (state.modes.umask, *state.modes.files.values(), *state.modes.folders.values())
    paths = {*state.modes.files, *state.modes.folders, *state.empty, *state.lfs}
    if not (
        is_head(state.head.ref, state.head.commit)
        and all(map(is_inside, paths))
        and all(type(mode) is int and 0 <= mode <= 0o7777 for mode in modes)
        and type(state.index_mtime_ns) is int
        and abs(state.index_mtime_ns) < _LATEST
        and all(map(_SHARED.fullmatch, state.shared))
        and all(map(_is_of_an_operation, state.operation))
        and all(map(is_object_id, state.staged))
        and isinstance(state.elsewhere, (str, type(None)))
    ):
        raise ValueError("JellyML did not write it")


def _is_of_an_operation(name: str) -> bool:
    first = name.partition("/")[0]
    return first in OPERATION and is_inside(os.fsencode(name))


def _entries(tree: bytes, id_size: int) -> Iterator[tuple[str, str]]:
    """The names in a tree object and their ids."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        name = tree[tree.index(b" ", at) + 1 : end]
        at = end + 1 + id_size
        yield os.fsdecode(name), tree[end + 1 : at].hex()
