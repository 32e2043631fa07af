"""Carry out one operation completely, or roll it back."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from jellyml.errors import JellyError, UnsafeToContinue
from jellyml.repo.paths import parents
from jellyml.workspace import gitdir, on_disk, recovery, results
from jellyml.workspace.operation_log import Move, Operation
from jellyml.workspace.plan import Plan
from jellyml.workspace.session import Drafted, Session, Wanted
from jellyml.workspace.state import Head, State
from jellyml.workspace.state_builder import Draft

_LENGTHS = (8, 12, 64)  # digits of the commit id in a branch name


@dataclass(frozen=True, slots=True)
class Ready:
    """A prepared operation: staged and planned, with a draft of the state before it."""

    operation: Operation
    plan: Plan
    wanted: Wanted


class StaleStat(Exception):
    """Nothing was changed: git's status is wrong for these files, and they must be read."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        super().__init__()
        self.paths = frozenset(paths)


def perform(session: Session, drafted: Drafted, ready: Ready, after: int = 0) -> list[str]:
    """Save the state before and carry out the operation; on failure, roll it back.

    Idea: the log entry is written before the first change, and marked done after the last one.
    Invariant: an error before ``done`` leads to a rollback, and an error after it does not.
    ``after`` is the resulting state, 0 for a load, whose result is a commit. Raises StaleStat if
    the draft must be repeated with more files read.
    """
    if not drafted.is_sure:
        _check_as_said(session, drafted.draft, ready.plan)
    now = drafted.draft.state
    branch = _branch_for_commits_on_top(session, now.head, ready.wanted.head)
    before = session.keep(drafted)
    operation = _recorded(session, ready, before, now, branch)
    try:
        saved = session.carry_out(operation, ready.plan, ready.wanted)
        session.finish(replace(operation, after=after))
    except BaseException as error:
        if not _is_only_sweeping(session, operation, error):
            _take_back(session, operation, error)
            raise
    notes = [results.commits_saved(branch)] if branch else []
    notes += results.set_aside(session.private, ready.plan.effects.aside)
    notes += (results.stays_aside(*one) for one in session.mover.stayed)
    return notes + [results.typed_meanwhile(path) for path in saved]


def _check_as_said(session: Session, draft: Draft, plan: Plan) -> None:
    """Raise StaleStat for a file that moves, but whose bytes are not in the draft.

    Git considers a file clean by size and times. A file that was written under other attributes
    (line ends, filters) than now can still differ from its blob.
    """
    read = draft.selection.overlay.keys() | draft.state.lfs
    root, object_format = session.repository.root, session.repository.object_format
    stale = []
    for move in plan.moves:
        if move.before and move.path not in read:
            entry = on_disk.identity(root, move.path, object_format)
            if entry and entry[1] != move.before[1].encode():
                stale.append(move.path)
    if stale:
        raise StaleStat(stale)


def _is_only_sweeping(session: Session, operation: Operation, error: BaseException) -> bool:
    """Return whether an error occurred after ``done``: the operation is then complete."""
    try:
        return isinstance(error, OSError) and session.journal.is_done(operation.number)
    except (OSError, JellyError):
        return False


def _take_back(session: Session, operation: Operation, error: BaseException) -> None:
    """Roll back immediately. If that fails too, the next command rolls back."""
    try:
        repaired = recovery.repair(session, own=True)
    except (OSError, JellyError) as second:
        raise UnsafeToContinue(
            f"The {operation.verb} failed ({error}), and taking it back failed too ({second})."
            " Nothing is lost: the state before is kept.",
            "mend the cause, then run: jellyml doctor",
        ) from error
    if isinstance(error, OSError):
        raise results.failed(operation.verb, error, repaired) from error


def _recorded(
    session: Session, ready: Ready, before: int, now: State, branch: str | None
) -> Operation:
    """Return the log entry to write before anything moves."""
    plan, wanted = ready.plan, ready.wanted
    moves = tuple(_as_on_disk(session, move, now) for move in plan.moves)
    added = {parent for move in moves if not move.before for parent in parents(move.path)}
    folders = (added | set(plan.effects.make)) - now.empty
    facts: dict[str, object] = {
        "head": [wanted.head.ref, wanted.head.commit],
        "operation": {name: gitdir.digest(data) for name, data in wanted.operation.items()},
        "returns": dict(plan.effects.returns),
        "modes": _modes_now(session.repository.root, plan),
        "folders": sorted(map(os.fsdecode, folders)),
        "branch": branch,
    }
    return replace(
        ready.operation,
        before=before,
        changed=len(moves),
        moves=moves,
        aside=dict(plan.effects.aside),
        facts=facts,
        created=_created(moves, now),
    )


def _created(moves: Iterable[Move], now: State) -> list[str]:
    """Return the files to be written into folders that the state before leaves in place.

    The way back removes these: they are tracked, and were not there.
    """
    new = (move.path for move in moves if move.before is None and move.after)
    return [os.fsdecode(path) for path in new if path in now.left]


def _as_on_disk(session: Session, move: Move, now: State) -> Move:
    """Return an LFS file's move with its content on disk: the state contains only its pointer."""
    if move.path not in now.lfs:
        return move
    return replace(move, before=recovery.on_disk_now(session, move.path))


def _modes_now(root: Path, plan: Plan) -> dict[str, int]:
    modes = {}
    for name in map(os.fsdecode, plan.effects.modes):
        with suppress(FileNotFoundError, NotADirectoryError):
            modes[name] = (root / name).lstat().st_mode & 0o7777
    return modes


def _branch_for_commits_on_top(session: Session, now: Head, wanted: Head) -> str | None:
    """Return a branch name for commits that no branch contains, before HEAD leaves them."""
    if now.ref or not now.commit or now.commit == wanted.commit:
        return None
    if session.store.is_snapshot(now.commit):
        return None
    held_by = ("refs/heads", "refs/tags", "refs/remotes")
    git = session.repository.git
    if git.run("for-each-ref", "--count=1", f"--contains={now.commit}", *held_by):
        return None
    names = (f"jellyml-{now.commit[:length]}" for length in _LENGTHS)
    return next(name for name in names if not git.run("for-each-ref", f"refs/heads/{name}"))
