"""The verbs ``load``, ``undo``, ``redo`` and ``restore``: each goes from one state to another."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.fs import atomic, paths
from jellyml.repo import worktrees
from jellyml.repo.repository import Repository
from jellyml.repo.work_tree import embedded
from jellyml.workspace import gitdir, recovery, results, set_aside, staging
from jellyml.workspace import history as workspace_history
from jellyml.workspace.doctor import examine
from jellyml.workspace.on_disk import LeftInPlace
from jellyml.workspace.operation_log import Move, Operation, Verb, stacks
from jellyml.workspace.plan import Plan, holds, in_the_way, is_there, to_state, without_storage
from jellyml.workspace.recovery import Repair
from jellyml.workspace.results import Change, Entry, Finding, Outcome
from jellyml.workspace.session import Drafted, Session, Wanted, can_be_written, hold
from jellyml.workspace.state import Head, State
from jellyml.workspace.state_builder import closed_repositories
from jellyml.workspace.store import Store
from jellyml.workspace.transaction import Ready, StaleStat, perform
from jellyml.workspace.verify import differing

if TYPE_CHECKING:
    from jellyml.workspace.load import IncomingSnapshot, Target


def load(
    folder: Path,
    model: "str | os.PathLike[str]",
    to: "str | os.PathLike[str] | None",
    *,
    dry_run: bool,
    max_unpacked: int,
    unrelated: bool,
) -> Outcome:
    """Load the code of a checkpoint into the repository around ``folder``, or into ``to``."""
    # Late: the other verbs do not need them, and the formats take long to import.
    from jellyml.remote.address import parse_argument
    from jellyml.workspace.load import load_target, open_incoming

    checkpoint = parse_argument("model", model, paths.parse_path)
    with open_incoming(checkpoint, max_unpacked) as incoming:
        place = paths.parse_path("to", to) if to is not None else folder
        known = incoming.quarantine.object_format
        with (
            load_target(place, known, fresh=to is not None, dry_run=dry_run) as target,
            _session(target.repository, leave_nothing=dry_run) as (session, repaired),
        ):
            go_ahead = unrelated or target.new
            step = partial(_load, session, incoming, target, dry_run=dry_run, unrelated=go_ahead)
            outcome = _repeat_if_stale(step)
    return _with_rollback(outcome, repaired)


def undo(repository: Repository) -> Outcome:
    """Go back to the state before the last load, restore or redo."""
    with _session(repository) as (session, repaired):
        if repaired:
            return results.rolled_back(session.repository.root, repaired, alone=True)
        entries = _with_state(session, stacks(session.journal.operations()).undo)
        if not entries:
            return results.nothing("undo", session.repository.root)
        last = entries[-1]
        return _repeat_if_stale(partial(_go, session, "undo", last.before, last))


def redo(repository: Repository) -> Outcome:
    """Go back to the state before the last undo."""
    with _session(repository) as (session, repaired):
        entries = _with_state(session, stacks(session.journal.operations()).redo)
        if not entries:
            return _with_rollback(results.nothing("redo", session.repository.root), repaired)
        last = entries[-1]
        outcome = _repeat_if_stale(partial(_go, session, "redo", last.before, last))
        return _with_rollback(outcome, repaired)


def restore(repository: Repository, number: int) -> Outcome:
    """Go to any state in the store."""
    with _session(repository) as (session, repaired):
        if number not in session.store.numbers():
            raise results.no_such_state(number)
        return _with_rollback(
            _repeat_if_stale(partial(_go, session, "restore", number, None)), repaired
        )


def repair(repository: Repository) -> Outcome | None:
    """Roll back an interrupted operation. Returns None if there is none."""
    with _session_or_view(repository) as (session, repaired):
        root = session.repository.root
        if repaired is None and session.is_read_only and session.journal.unfinished():
            return results.waiting(root)
        return results.rolled_back(root, repaired, alone=True) if repaired else None


def history(repository: Repository) -> list[Entry]:
    """Return every state in the store, newest first."""
    with _session_or_view(repository) as (session, _):
        return workspace_history.entries(session)


def forget(repository: Repository, *, everything: bool) -> Outcome:
    """Remove the last entry, or all entries, from the undo stack."""
    with _session(repository) as (session, repaired):
        return _with_rollback(workspace_history.forget(session, everything=everything), repaired)


def prune(
    repository: Repository,
    older_than: float | None,
    larger_than: int | None,
    *,
    everything: bool,
) -> Outcome:
    """Delete states; with ``everything``, all of JellyML's files in the repository."""
    with _session(repository) as (session, repaired):
        outcome = workspace_history.prune(session, older_than, larger_than, everything=everything)
        session.is_last = everything
    return _with_rollback(outcome, repaired)


def doctor(repository: Repository) -> list[Finding]:
    """Check the store, log, locks and leftover files; repair what is safe and report the rest."""
    with _session_or_view(repository) as (session, repaired):
        return examine(session, repaired)


@contextmanager
def _session(
    repository: Repository, *, leave_nothing: bool = False
) -> Iterator[tuple[Session, Repair | None]]:
    """Hold the workspace, after a rollback if one is pending.

    A store that did not exist before is removed if ``leave_nothing``, or if no operation began.
    """
    worktrees.check_access(repository)
    fresh = not Store(repository).base.exists()
    with hold(repository) as session:
        try:
            yield session, recovery.repair(session)
        finally:
            begun = any(session.journal.folder.glob("*"))
            session.is_last |= fresh and (leave_nothing or not begun)


@contextmanager
def _session_or_view(repository: Repository) -> Iterator[tuple[Session, Repair | None]]:
    """Do the same as ``_session``; on a read-only medium, without a rollback."""
    if can_be_written(repository):
        with _session(repository) as both:
            yield both
    else:
        yield Session(repository, Store(repository), is_read_only=True), None


def _with_state(session: Session, entries: Iterable[Operation]) -> list[Operation]:
    """Return the entries whose state was not pruned."""
    numbers = session.store.numbers()
    return [entry for entry in entries if entry.before in numbers]


def _repeat_if_stale(step: Callable[[frozenset[bytes]], Outcome]) -> Outcome:
    """Run a step; repeat it if files differ from git's status, with these files read."""
    try:
        return step(frozenset())
    except StaleStat as error:
        return step(error.paths)


def _load(
    session: Session,
    incoming: "IncomingSnapshot",
    target: "Target",
    stale: frozenset[bytes],
    *,
    dry_run: bool,
    unrelated: bool,
) -> Outcome:
    """Put the snapshot's tree in the working tree, and HEAD at its commit."""
    root = session.repository.root
    mine = incoming.inside(root)
    parts, known = incoming.files_inside(root), session.repository.object_format
    objects = (incoming.quarantine.objects,)
    with session.draft(stale, objects, keep=(*target.existing, *parts)) as drafted:
        session.mover.prepare()
        incoming.check_fits(session)
        wanted_moves = tuple(incoming.moves(drafted))
        moves = without_storage(Plan(wanted_moves), drafted.draft.scan.storage).moves
        incoming.warnings.extend(results.storage_stays(_left_out(wanted_moves, moves)))
        closed = closed_repositories(drafted.draft.scan)
        incoming.warnings.extend(results.repositories_stay(closed))
        if not unrelated:
            _refuse_unrelated(session, incoming, drafted, moves, dry_run=dry_run)
        staged = incoming.stage(session, drafted, moves)
        parts -= {move.path for move in staged.moves if move.before}  # those that git tracks
        operation = session.journal.next("load")
        plan = in_the_way(
            root,
            Plan(staged.moves),
            operation.number,
            object_format=known,
            staying=(*mine, *parts),
        )
        if target.new and plan.effects.aside:
            raise results.other_files_there(root, plan.effects.aside, incoming.path)
        stay = [
            move.path for move in staged.moves
            if move.path in parts and not is_there(root, move, known)
        ]  # fmt: skip
        incoming.warnings.extend(results.parts_that_stay(incoming.path, stay))
        staging.drop(staged.moves, plan.moves, session.mover.stage)
        if dry_run:
            session.mover.sweep()
            return results.would_load(root, incoming, _changes(plan))
        commit = incoming.bring_commit(session.store)
        operation = replace(
            operation, model=str(incoming.path), commit=commit, made_repository=target.new
        )
        with incoming.index(session, drafted, commit) as index:
            wanted = Wanted(Head(None, commit), {}, index)
            notes = perform(session, drafted, Ready(operation, plan, wanted))
    message = results.loaded(root, incoming, commit, new=target.new)
    inside = embedded(root, (move.path for move in plan.moves if move.after))
    warnings = dict.fromkeys(
        (*notes, *results.pointers(staged.pointers), *results.embedded(inside), *incoming.warnings)
    )
    return Outcome("load", root, message, tuple(warnings), _changes(plan), commit)


def _refuse_unrelated(
    session: Session,
    incoming: "IncomingSnapshot",
    drafted: Drafted,
    moves: Sequence[Move],
    *,
    dry_run: bool,
) -> None:
    """Raise Unrelated if the code shares nothing with the folder; a dry run only warns."""
    root = session.repository.root
    lost = incoming.lost_to_unrelated(session, drafted.draft.scan, moves)
    if lost and not dry_run:
        raise results.unrelated(root, incoming.path, lost)
    if lost:
        incoming.warnings.append(results.would_ask(root, lost))


def _go(
    session: Session,
    verb: Verb,
    number: int,
    entry: Operation | None,
    stale: frozenset[bytes],
) -> Outcome:
    """Go from the current workspace to a state in the store."""
    root = session.repository.root
    target = session.state(number)
    with session.draft(stale) as drafted:
        session.mover.prepare()
        now = drafted.draft.state
        object_format = session.repository.object_format
        operation = session.journal.next(verb)
        storage = drafted.draft.scan.storage
        things = {
            name: place
            for name, place in set_aside.coming_back(session.private, number).items()
            if not storage.touches(os.fsencode(name))
        }
        git = drafted.place.git
        nested = [prefix for prefix, one in drafted.draft.scan.layers() if prefix and not one.plain]
        returning = LeftInPlace(map(os.fsencode, things))
        created = session.journal.created_since(number)
        whole = to_state(git, now, target, returning, nested, created)
        plan = without_storage(whole, storage)
        notes = results.repositories_stay(closed_repositories(drafted.draft.scan))
        notes += results.storage_stays(_left_out(whole.moves, plan.moves))
        notes += results.tracked_stays(plan.stays)
        plan = in_the_way(root, plan, operation.number, object_format=object_format)
        contains = partial(holds, git, target.files)
        plan = set_aside.returning(root, session.private, things, plan, operation.number, contains)
        staging.write_blobs(session.store.git, plan.moves, session.mover.stage, target.modes)
        staged = staging.fill_state_pointers(
            plan.moves, session.mover.stage, target.lfs, session.lfs, object_format
        )
        plan = replace(plan, moves=staged.moves)
        atomic.sync_tree(session.mover.stage)
        head, about_head = _reachable(session, target)
        if head.commit:
            session.store.lend_snapshot(head.commit)
        session.store.lend_objects(target.staged)
        wanted = Wanted(
            head,
            session.operation_of(target),
            lambda to: session.saved_index(target, to),
            target.operation_modes,
        )
        operation = replace(
            operation,
            target=entry.number if entry else 0,
            model=entry.model if entry else None,
            commit=head.commit,
        )
        notes += (*about_head, *results.pointers(staged.pointers))
        notes += perform(session, drafted, Ready(operation, plan, wanted), after=number)
        differs = differing(session, plan, target, number)
        notes += results.differing(differs)
        dropped = _drop_branches(session, head)
    message = results.moved(verb, root, head, entry, exact=not differs)
    message += results.branches_dropped(dropped)
    return Outcome(verb, root, message, tuple(notes), _changes(plan), head.commit)


def _left_out(every: Iterable[Move], kept: Iterable[Move]) -> list[bytes]:
    """Return the paths of the moves that were dropped from a plan."""
    return sorted({move.path for move in every} - {move.path for move in kept})


def _reachable(session: Session, target: State) -> tuple[Head, list[str]]:
    """Return a possible HEAD. A branch that was moved or deleted since is not changed."""
    head = target.head
    if head.ref is None:
        return head, _rebased_elsewhere(session, target)
    answer = session.repository.git.run(
        "rev-parse", "-q", "--verify", head.ref, accept=(0, 1)
    ).decode().strip()  # fmt: skip
    if (answer or None) != head.commit:
        if head.commit is None:
            return head, [results.branch_was_born(head.ref)]
        return Head(None, head.commit), [
            results.branch_moved(head.ref, head.commit, gone=not answer)
        ]
    other = worktrees.holder(session.repository, head.ref)
    if other is None or os.fspath(other) == target.elsewhere:
        return head, []
    if head.commit is None:
        return head, [results.branch_is_elsewhere(head.ref, other)]
    return Head(None, head.commit), [results.branch_taken(head.ref, head.commit, other)]


def _drop_branches(session: Session, head: Head) -> list[str]:
    """Delete the branches that a load made for commits which HEAD holds again; return them.

    A branch that was moved, packed, or checked out in another worktree stays.
    """
    if head.ref or not head.commit:
        return []
    dropped = []
    for operation in session.journal.operations():
        name = operation.facts.get("branch")
        if operation.status != "done" or not isinstance(name, str):
            continue
        if worktrees.holder(session.repository, f"refs/heads/{name}") is None and (
            gitdir.drop_branch(session.repository, name, head.commit)
        ):
            dropped.append(name)
    return dropped


def _rebased_elsewhere(session: Session, target: State) -> list[str]:
    """Warn about a restored rebase: when it ends, it moves its branch in any worktree."""
    ref = worktrees.rebased(session.operation_of(target))
    other = worktrees.holder(session.repository, ref) if ref else None
    return [results.branch_is_elsewhere(ref, other)] if ref and other else []


def _changes(plan: Plan) -> tuple[Change, ...]:
    aside = (Change("move aside", name) for name in plan.effects.aside)
    moved = (Change(_kind(move), os.fsdecode(move.path)) for move in plan.moves)
    return (*aside, *moved)


def _kind(move: Move) -> "results.ChangeKind":
    if move.before is None:
        return "add"
    return "delete" if move.after is None else "modify"


def _with_rollback(outcome: Outcome, repaired: Repair | None) -> Outcome:
    """Prepend the report of a rollback that preceded the operation."""
    if repaired is None:
        return outcome
    before = results.rolled_back(outcome.root, repaired, alone=False)
    return replace(
        outcome,
        message=(*before.message, *outcome.message),
        warnings=(*before.warnings, *outcome.warnings),
    )
