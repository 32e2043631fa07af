"""``load``, ``undo``, ``redo``, ``restore``: every one of them goes from a state to a state."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml import files
from jellyml.code.repository import Repository
from jellyml.errors import UsageError
from jellyml.workspace import asides, health, past, recovery, stage, words, worktrees
from jellyml.workspace.disk import Left
from jellyml.workspace.journal import Move, Operation, Verb, stacks
from jellyml.workspace.outcome import Change, Entry, Finding, Outcome
from jellyml.workspace.perform import Ready, perform
from jellyml.workspace.plan import Plan, holds, in_the_way, to_state
from jellyml.workspace.recovery import Repair
from jellyml.workspace.session import Session, Wanted, can_be_written, held
from jellyml.workspace.state import Head, State
from jellyml.workspace.store import Store

if TYPE_CHECKING:
    from jellyml.workspace.loading import Arrival, Target


class Workspace:
    """The repository and working tree that hold a folder.

    Every method raises JellyError (NotARepository, GitError, BadSnapshot, UnsafeToContinue)
    with the workspace as it was, and first rolls back what an interrupted one left behind.
    """

    def __init__(self, folder: "str | os.PathLike[str]" = ".") -> None:
        self._asked = files.given("folder", folder)

    def load(
        self,
        model: "str | os.PathLike[str]",
        *,
        to: "str | os.PathLike[str] | None" = None,
        dry_run: bool = False,
        max_unpacked: int = 4 << 30,
    ) -> Outcome:
        """Bring back the code in a checkpoint, here or at an address such as ``s3://...``.

        ``to`` names a missing or empty folder for it.

        With ``dry_run`` only say what would change. ``max_unpacked`` (bytes) bounds what a
        stranger's snapshot may unpack to.
        """
        # Late: undo and the others need none of it, and formats take long to import.
        from jellyml.remote.address import given_place
        from jellyml.workspace.loading import arriving, load_target

        checkpoint = given_place("model", model, files.given)
        with arriving(checkpoint, max_unpacked) as arrival:
            folder = files.given("to", to) if to is not None else self._asked
            known = arrival.incoming.object_format
            with (
                load_target(folder, known, fresh=to is not None, dry_run=dry_run) as target,
                self._held(target.repository, leave_nothing=dry_run) as (session, repaired),
            ):
                outcome = _load(session, arrival, target, dry_run=dry_run)
        return _told(outcome, repaired)

    def undo(self) -> Outcome:
        """Go back to the state before the last load, restore or redo."""
        with self._held(self._repository()) as (session, repaired):
            if repaired:
                return words.rolled_back(session.repository.root, repaired, alone=True)
            entries = _held(session, stacks(session.journal.operations()).undo)
            if not entries:
                return words.nothing("undo", session.repository.root)
            last = entries[-1]
            return _go(session, "undo", last.before, last)

    def redo(self) -> Outcome:
        """Go back to the state before the last undo, edits made there included."""
        with self._held(self._repository()) as (session, repaired):
            entries = _held(session, stacks(session.journal.operations()).redo)
            if not entries:
                return _told(words.nothing("redo", session.repository.root), repaired)
            last = entries[-1]
            return _told(_go(session, "redo", last.before, last), repaired)

    def restore(self, number: int) -> Outcome:
        """Go to any state that ``history`` lists; that can be undone like a load."""
        with self._held(self._repository()) as (session, repaired):
            if number not in session.store.numbers():
                raise UsageError(f"There is no state {number}.", "jellyml history")
            return _told(_go(session, "restore", number, None), repaired)

    def repair(self) -> Outcome | None:
        """Roll back what an interrupted operation left behind; None where there is nothing."""
        repository = self._repository()
        if not past.has_any(repository):
            return None
        with self._looked_at(repository) as (session, repaired):
            root = session.repository.root
            if repaired is None and session.is_read_only and session.journal.unfinished():
                return words.waiting(root)
            return words.rolled_back(root, repaired, alone=True) if repaired else None

    def history(self) -> list[Entry]:
        """Every state that can be gone back to, newest first."""
        repository = self._repository()
        if not past.has_any(repository):
            return []
        with self._looked_at(repository) as (session, _):
            return past.entries(session)

    def forget_last(self) -> Outcome:
        """Take the last entry off the undo stack; its state stays reachable by ``restore``."""
        with self._held(self._repository()) as (session, repaired):
            return _told(past.forget(session, everything=False), repaired)

    def forget_all(self) -> Outcome:
        """Empty the undo stack; the states stay reachable by ``restore``."""
        with self._held(self._repository()) as (session, repaired):
            return _told(past.forget(session, everything=True), repaired)

    def prune(
        self,
        *,
        older_than: float | None = None,
        larger_than: int | None = None,
        everything: bool = False,
    ) -> Outcome:
        """Give up states: older than so many seconds, or until the store fits so many bytes.

        With ``everything`` nothing of ours stays in the repository.
        """
        repository = self._repository()
        if not past.has_any(repository):
            return words.nothing("prune", repository.root)
        with self._held(repository) as (session, repaired):
            outcome = past.prune(session, older_than, larger_than, everything=everything)
            session.is_last = everything
        return _told(outcome, repaired)

    def doctor(self) -> list[Finding]:
        """Check store, journal, locks and leftovers; repair what is safe, and say the rest."""
        repository = self._repository()
        if not past.has_any(repository):
            return []
        with self._looked_at(repository) as (session, repaired):
            return health.examine(session, repaired)

    @property
    def folder(self) -> Path:
        """The journal's folder, whether anything lies there yet or not."""
        return past.folder(self._repository())

    def _repository(self) -> Repository:
        if not self._asked.is_dir():
            raise UsageError(f"{self._asked} is not a folder.", "pass a folder in a repository.")
        return Repository.find(self._asked)

    @contextmanager
    def _held(
        self, repository: Repository, *, leave_nothing: bool = False
    ) -> Iterator[tuple[Session, Repair | None]]:
        """The workspace, repaired. ``leave_nothing``: no store where there was none."""
        fresh = not Store(repository).base.exists()
        with held(repository) as session:
            yield session, recovery.repair(session)
            session.is_last |= leave_nothing and fresh

    @contextmanager
    def _looked_at(self, repository: Repository) -> Iterator[tuple[Session, Repair | None]]:
        """As ``_held``; on a medium that cannot be written as it is, unrepaired."""
        if can_be_written(repository):
            with self._held(repository) as both:
                yield both
        else:
            yield Session(repository, Store(repository), is_read_only=True), None


def _held(session: Session, entries: Iterable[Operation]) -> list[Operation]:
    """Those whose state was not pruned."""
    numbers = session.store.numbers()
    return [entry for entry in entries if entry.before in numbers]


def _load(session: Session, arrival: "Arrival", target: "Target", *, dry_run: bool) -> Outcome:
    """The snapshot's tree over the working tree, HEAD at its commit."""
    root = session.repository.root
    mine = arrival.inside(root)
    with session.draft(objects=(arrival.incoming.objects,), keep=target.lying) as drafted:
        session.mover.prepare()
        arrival.check_fits(session)
        staged = arrival.stage(session, drafted)
        operation = session.journal.next("load")
        plan = in_the_way(
            root,
            Plan(staged.moves),
            operation.number,
            object_format=session.repository.object_format,
            staying=mine,
        )
        if target.new and plan.around.aside:
            raise words.other_files_there(root, plan.around.aside, arrival.path)
        if dry_run:
            session.mover.sweep()
            return words.would_load(root, arrival, _changes(plan))
        commit = arrival.bring_commit(session.store)
        wanted = Wanted(
            Head(None, commit), {}, lambda to: arrival.index(session, drafted, commit, to)
        )
        operation = replace(
            operation, model=str(arrival.path), commit=commit, made_repository=target.new
        )
        notes = perform(session, drafted, Ready(operation, plan, wanted))
    said = words.loaded(root, arrival, commit, new=target.new)
    warnings = (*notes, *words.pointers(staged.pointers), *arrival.warnings)
    return Outcome("load", root, said, warnings, _changes(plan), commit)


def _go(session: Session, verb: Verb, number: int, entry: Operation | None) -> Outcome:
    """From the workspace as it is to a state of the journal."""
    root = session.repository.root
    target = session.state(number)
    with session.draft() as drafted:
        session.mover.prepare()
        now = drafted.draft.state
        object_format = session.repository.object_format
        operation = session.journal.next(verb)
        things = asides.coming_back(session.private, number)
        git = drafted.place.git
        nested = [prefix for prefix, one in drafted.draft.scan.layers() if prefix and not one.plain]
        plan = to_state(git, now, target, Left(map(os.fsencode, things)), nested)
        plan = in_the_way(root, plan, operation.number, object_format=object_format)
        held = partial(holds, git, target.files)
        plan = asides.returning(root, session.private, things, plan, operation.number, held)
        stage.write_blobs(session.store.git, plan.moves, session.mover.stage, target.modes)
        staged = stage.fill_state_pointers(
            plan.moves, session.mover.stage, target.lfs, session.lfs, object_format
        )
        plan = replace(plan, moves=staged.moves)
        files.sync_tree(session.mover.stage)
        head, notes = _reachable(session, target)
        session.store.lend_objects(target.staged)
        wanted = Wanted(
            head,
            session.operation_of(target),
            lambda to: session.saved_index(target, to),
        )
        operation = replace(
            operation,
            target=entry.number if entry else 0,
            model=entry.model if entry else None,
            commit=head.commit,
        )
        notes += words.pointers(staged.pointers)
        notes += perform(session, drafted, Ready(operation, plan, wanted), after=number)
    said = words.went(verb, root, head, entry)
    return Outcome(verb, root, said, tuple(notes), _changes(plan), head.commit)


def _reachable(session: Session, target: State) -> tuple[Head, list[str]]:
    """Where HEAD can stand: a branch that moved or went since is not touched."""
    head = target.head
    if head.ref is None:
        return head, _rebased_elsewhere(session, target)
    answer = session.repository.git.run(
        "rev-parse", "-q", "--verify", head.ref, accept=(0, 1)
    ).decode().strip()  # fmt: skip
    if (answer or None) != head.commit:
        if head.commit is None:
            return head, [words.branch_was_born(head.ref)]
        return Head(None, head.commit), [words.branch_moved(head.ref, head.commit, gone=not answer)]
    other = worktrees.holder(session.repository, head.ref)
    if other is None or os.fspath(other) == target.elsewhere:
        return head, []
    if head.commit is None:
        return head, [words.branch_is_elsewhere(head.ref, other)]
    return Head(None, head.commit), [words.branch_taken(head.ref, head.commit, other)]


def _rebased_elsewhere(session: Session, target: State) -> list[str]:
    """A rebase that comes back will move its branch when it ends, whoever has it by then."""
    ref = worktrees.rebased(session.operation_of(target))
    other = worktrees.holder(session.repository, ref) if ref else None
    return [words.branch_is_elsewhere(ref, other)] if ref and other else []


def _changes(plan: Plan) -> tuple[Change, ...]:
    aside = (Change("move aside", name) for name in plan.around.aside)
    moved = (Change(_kind(move), os.fsdecode(move.path)) for move in plan.moves)
    return (*aside, *moved)


def _kind(move: Move) -> "words.Kind":
    if move.before is None:
        return "add"
    return "delete" if move.after is None else "modify"


def _told(outcome: Outcome, repaired: Repair | None) -> Outcome:
    """Say first what was rolled back before this operation could begin."""
    if repaired is None:
        return outcome
    before = words.rolled_back(outcome.root, repaired, alone=False)
    return replace(
        outcome,
        message=(*before.message, *outcome.message),
        warnings=(*before.warnings, *outcome.warnings),
    )
