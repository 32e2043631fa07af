"""One operation at a time: its locks, the state before it, and its steps.

Idea: save the state before, write the log entry, then change files. Invariant: a process may be
killed at any step, because every change on disk is covered by an entry that recovery can roll
back.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from jellyml.errors import GitError
from jellyml.fs import atomic, locks, paths
from jellyml.repo import lfs
from jellyml.repo.repository import Repository
from jellyml.repo.sharing import share
from jellyml.working_tree.scratch import Scratch, scratch
from jellyml.workspace import gitdir, links
from jellyml.workspace.keep_refs import PACKED_LOCK
from jellyml.workspace.mover import Mover
from jellyml.workspace.on_disk import LeftInPlace
from jellyml.workspace.operation_log import Journal, Operation
from jellyml.workspace.plan import Plan
from jellyml.workspace.state import Head, State, head_ref, read
from jellyml.workspace.state_builder import Draft, left_in_place, look, make_draft
from jellyml.workspace.store import Store

LOCK_WAIT = 10.0  # seconds for another jellyml command


@dataclass(frozen=True, slots=True)
class Wanted:
    """The target of an operation, apart from its files."""

    head: Head
    operation: Mapping[str, bytes]  # files of a merge or rebase to restore
    index: Callable[[Path], bool]  # writes the index to a path; False if there is none
    operation_modes: Mapping[str, int] = field(default_factory=dict)


class Session:
    """A workspace that this process holds."""

    def __init__(self, repository: Repository, store: Store, *, is_read_only: bool = False) -> None:
        self.repository = repository
        self.store = store
        self.is_read_only = is_read_only  # the lock is not held, and nothing may change
        self.is_last = False  # remove all of JellyML's files at the end
        self.private = self.store.private
        self._states: dict[int, State] = {}
        self._sharing: str | None = None
        self.journal = Journal(self.private / "ops")
        self.mover = Mover(repository, self.private)

    @cached_property
    def lfs(self) -> tuple[Path, Path]:
        """Return the stores of large files: git-lfs's (without lfs.storage) and JellyML's."""
        return self.repository.common_dir / "lfs", self.store.large

    @property
    def sharing(self) -> str:
        """Return core.sharedRepository. A draft has read it; a rollback may come without one."""
        if self._sharing is None:
            command = ("config", "--default", "", "core.sharedRepository")
            self._sharing = self.repository.git.line(*command)
        return self._sharing

    def state(self, number: int) -> State:
        """Return a state by its number, which is never reused. Raises GitError if it was pruned."""
        if number not in self._states:
            self._states[number] = self.state_at(self.store.state_ref(number))
        return self._states[number]

    def state_at(self, ref: str) -> State:
        return read(self.store.git, ref)

    def current(self) -> int:
        """Return the number of the state after the last operation; 0 after a load."""
        last = self.journal.last()
        return last.after if last else 0

    def nearest(self) -> int:
        """Return the number of the last state recorded: after an operation, or before a load."""
        last = self.journal.last()
        return (last.after or last.before) if last else 0

    def _nearest(self) -> tuple[int, State] | None:
        """Return that state, or None. A load leaves the same paths in place as it did."""
        number = self.nearest()
        try:
            return (number, self.state(number)) if number else None
        except GitError:  # pruned, damaged or deleted: the current workspace can still be saved
            return None

    @contextmanager
    def draft(
        self,
        stale: frozenset[bytes] = frozenset(),
        objects: tuple[Path, ...] = (),
        keep: tuple[bytes, ...] = (),
    ) -> Iterator["Drafted"]:
        """Yield the current workspace in a scratch directory that also reads ``objects``.

        ``stale`` files are read even if git reports them as unchanged.
        """
        nearest = self._nearest()
        inherited = LeftInPlace((*(nearest[1].left.paths if nearest else ()), *keep))
        tree = look(self.repository, inherited)
        self._sharing = tree.selection.scan.config.get("core.sharedrepository", "")
        left = left_in_place(tree.selection, inherited)
        object_stores = (*objects, self.store.bare / "objects")
        with scratch(tree.selection.scan, objects=object_stores, near=self.private) as place:
            # An index of 5 MB is written in half the time and is one per cent larger.
            place = replace(place, git=place.git.configured(core__compression="1"))
            head = Head(head_ref(self.repository), tree.selection.scan.head)
            draft = make_draft(place, tree, left, head, self.repository, stale)
            yield Drafted(place, draft, is_sure=bool(stale))

    def keep(self, drafted: "Drafted") -> int:
        """Save a draft as a state. Returns the nearest state's number if they are equal."""
        draft = drafted.draft
        self.store.keep_commits(draft.user_commits)
        lfs.keep(self.store.large, draft.large)
        nearest = self._nearest()
        known = []
        if nearest:
            number, there = nearest
            if there.commit == draft.state.commit:
                return number
            known.append(f"{there.commit}^{{tree}}")
        if draft.state.head.commit and not draft.selection.promised:
            known.append(f"{draft.state.head.commit}^{{tree}}")
        number = self._next_state()
        self.store.keep_state(drafted.place, draft.state.commit, number, known)
        return number

    def _next_state(self) -> int:
        named = (n for one in self.journal.operations() for n in (one.before, one.after))
        return max((*self.store.numbers(), *named), default=0) + 1

    def carry_out(self, operation: Operation, plan: Plan, wanted: Wanted) -> list[str]:
        """Carry out a staged operation. Returns where files that changed meanwhile were saved."""
        self.mover.check_writable(plan.moves)
        self.journal.write(operation)
        self.mover.move(plan.moves, plan.effects, paths.current_folder())
        gitdir.put_operation(
            self.repository.git_dir, wanted.operation, wanted.operation_modes, self.sharing
        )
        reason = f"jellyml: {operation.verb}"
        branch = operation.facts.get("branch")
        if isinstance(branch, str):
            gitdir.make_branch(self.store.user, branch)
        gitdir.move_head(self.repository, self.private, wanted.head, reason, self.sharing)
        self._move_index(operation, wanted)
        return [str(path) for path in self.mover.rescue(operation)]

    def _move_index(self, operation: Operation, wanted: Wanted) -> None:
        new = self.private / "index"
        new.unlink(missing_ok=True)
        there = wanted.index(new)
        known = gitdir.digest(new.read_bytes()) if there else None
        self.journal.write(replace(operation, facts={**operation.facts, "index": known}))
        gitdir.put_index(self.repository, new if there else None, self.sharing)

    def saved_index(self, saved: State, to: Path) -> bool:
        """Write a state's index to a path, with its original time: git's race checks need it."""
        if saved.index is None:
            return False
        ids = [saved.index, *saved.shared.values()]
        content, *shared = self.store.git.read_objects(ids)
        to.write_bytes(content)
        os.utime(to, ns=(saved.index_mtime_ns, saved.index_mtime_ns))
        for name, part in zip(saved.shared, shared, strict=True):
            if not (self.repository.git_dir / name).exists():
                atomic.replace(self.repository.git_dir / name, [part], mode=0o644)
                share(self.repository.git_dir / name, self.sharing)
        return True

    def operation_of(self, saved: State) -> dict[str, bytes]:
        """Return the files of the merge or rebase in progress in a state."""
        contents = self.store.git.read_objects(saved.operation.values())
        return dict(zip(saved.operation, contents, strict=True))

    def finish(self, operation: Operation) -> None:
        """Mark an operation as done, then clean up. From now on it is not rolled back."""
        branch = operation.facts.get("branch")
        facts = {"branch": branch} if branch else {}  # an undo deletes it again
        done = replace(operation, status="done", moves=(), facts=facts, time=time.time())
        self.journal.write(done)
        with suppress(OSError):  # the next command cleans up
            self.mover.sweep()
            self.journal.fold()
            self.store.merge_packs()


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft and its scratch directory."""

    place: Scratch
    draft: Draft
    is_sure: bool  # the second draft, in which files that differ from git's status were read


@contextmanager
def hold(repository: Repository) -> Iterator[Session]:
    """Hold the workspace against other jellyml commands, and its index against git.

    All worktrees of a repository share the store, and so the lock. Order: check the folder, take
    the lock file, remove locks of killed commands, take ``index.lock``. Invariant: while JellyML's
    lock is held, any git lock with JellyML's token was left by a killed command.
    """
    repository.check_points_back()
    links.refuse_links(repository)
    base = Store(repository).base
    base.mkdir(exist_ok=True, mode=0o700)
    with locks.only_one(base / "lock", wait=LOCK_WAIT, doing="at work here"):
        session = Session(repository, Store.open(repository))
        session.store.finish_removal()
        for place in (repository.git_dir / "HEAD.lock", repository.common_dir / PACKED_LOCK):
            gitdir.drop(place, session.private)
        try:
            with gitdir.lock(repository.git_dir / "index.lock", session.private):
                session.store.clear_litter()
                yield session
        finally:
            if session.is_last:
                session.store.clear_litter()  # left by a git that was just killed
                session.store.remove()


def can_be_written(repository: Repository) -> bool:
    """Return False if JellyML's lock cannot be taken: the workspace can only be read."""
    store = Store(repository)
    return all(os.access(one, os.W_OK) for one in (repository.git_dir, store.base))
