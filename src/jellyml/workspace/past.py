"""What the journal and the store hold: listed, forgotten, given up, examined."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jellyml.code.repository import Repository
from jellyml.errors import GitError, JellyError
from jellyml.workspace import words
from jellyml.workspace.journal import Journal, Operation, stacks
from jellyml.workspace.outcome import Entry, Finding, Outcome
from jellyml.workspace.recovery import Repair
from jellyml.workspace.session import Session
from jellyml.workspace.store import Store


def has_any(repository: Repository) -> bool:
    """True where an operation was ever begun: to ask must not make a folder."""
    return Store(repository).private.is_dir()


@contextmanager
def untouched(repository: Repository, *, if_asked: bool) -> Iterator[None]:
    """Leave no store behind where there was none: a dry run only looks."""
    store = Store(repository)
    there = store.base.exists()
    yield
    if if_asked and not there:
        store.remove()


def folder(repository: Repository) -> Path:
    """Where the journal lies, or would."""
    return Store(repository).private / "ops"


def asides(session: Session, *, since: int) -> dict[str, str]:
    """What was set aside since a state and not brought back: path -> place, the first of a path."""
    return _asides(session.private, since)


def _asides(private: Path, since: int = 0) -> dict[str, str]:
    found: dict[str, str] = {}
    for operation in Journal(private / "ops").operations():
        for name, place in operation.aside.items():
            if operation.before >= since and os.path.lexists(private / place):
                found.setdefault(name, place)
    return found


def entries(session: Session) -> list[Entry]:
    """The states, newest first, each with the operation it was first seen beside."""
    operations = session.journal.operations()
    undo = {one.number for one in stacks(operations).undo}
    held = session.store.numbers()
    current, _ = session.current()
    found: dict[int, Entry] = {}
    for one in operations:
        if one.status != "done":
            continue
        for number in (one.before, one.after):
            if number in held and number not in found:
                found[number] = _entry(session, number, one, current, one.number in undo)
    return [found[number] for number in sorted(found, reverse=True)]


def _entry(session: Session, number: int, one: Operation, current: int, undoable: bool) -> Entry:
    head = session.state(number).head
    return Entry(
        number=number,
        time=one.time,
        verb=one.verb,
        moment="before" if number == one.before else "after",
        model=one.model,
        commit=head.commit,
        head=head.ref.removeprefix("refs/heads/") if head.ref else "detached",
        changed=one.changed,
        current=number == current,
        undoable=undoable,
    )


def forget(session: Session, *, everything: bool) -> Outcome:
    """Take the last entry, or all, off the undo stack."""
    operations = session.journal.operations()
    undo = stacks(operations).undo
    root = session.repository.root
    if not undo:
        return words.nothing("forget", root)
    entry = session.journal.next("forget", operations)
    target = 0 if everything else undo[-1].number
    session.journal.write(replace(entry, status="done", target=target))
    what = "All entries were" if everything else f"The last entry (a {undo[-1].verb}) was"
    reach = "Their states" if everything else "Its state"
    said = f"{what} taken off the undo stack. {reach} can still be reached: jellyml history"
    return Outcome("forget", root, (said,))


def prune(
    session: Session, older_than: float | None, larger_than: int | None, *, everything: bool
) -> Outcome:
    """Give up states and the journal's entries that need them, the oldest first."""
    root = session.repository.root
    if everything:
        _refuse_what_is_nowhere_else(session)
        return Outcome("prune", root, (f"Nothing of JellyML's is left in {root}.",))
    given_up = 0
    for batch in _batches(session, older_than, larger_than):
        session.store.drop_states(batch, _needed_commits(session, batch))
        given_up += len(batch)
    held = session.store.numbers()
    operations = session.journal.operations()
    spent = [one.number for one in operations if not {one.before, one.after} & held]
    # The highest stay: numbers are never given twice.
    highest = {
        operations[-1].number,
        max(operations, key=lambda one: (one.before, one.after)).number,
    }
    session.journal.remove([number for number in spent if number not in highest])
    count = f"{given_up} state{'' if given_up == 1 else 's'}"
    return Outcome("prune", root, (f"{count} given up.",))


def _batches(
    session: Session, older_than: float | None, larger_than: int | None
) -> Iterator[list[int]]:
    """States to give up, the oldest first; never the current one."""
    current, _ = session.current()
    if older_than is not None:
        limit = time.time() - older_than
        seen = _last_seen(session)
        old = [n for n in session.store.numbers() if n != current and seen.get(n, 0.0) < limit]
        if old:
            yield sorted(old)
    while larger_than is not None and session.store.size() > larger_than:
        left = sorted(session.store.numbers() - {current})
        if not left:
            return
        yield left[: max(1, len(left) // 8)]


def _last_seen(session: Session) -> dict[int, float]:
    seen: dict[int, float] = {}
    for one in session.journal.operations():
        for number in (one.before, one.after):
            seen[number] = max(seen.get(number, 0.0), one.time)
    return seen


def _needed_commits(session: Session, without: Iterable[int]) -> set[str]:
    """Where the states that are left stand, those of other worktrees too."""
    dropped = {session.store.state_ref(number) for number in without}
    states = [session.state_at(ref) for ref in session.store.all_states() - dropped]
    heads = {state.head.commit for state in states if state.head.commit}
    return heads | set(session.store.kept()) if any(s.operation for s in states) else heads


def _refuse_what_is_nowhere_else(session: Session) -> None:
    """Files of the user's that lie with us, of whatever worktree."""
    for private in session.store.privates():
        for name, place in _asides(private).items():
            raise JellyError(
                f"{name} was set aside and not brought back yet; it lies at {private / place}.",
                "jellyml undo, or move it where you want it.",
            )
        for path in filter(Path.is_file, (private / "rescue").rglob("*")):
            raise JellyError(
                f"A file that changed during an operation was saved at {path}.",
                "look at it, and move it where you want it.",
            )


def examine(session: Session, repaired: Repair | None) -> list[Finding]:
    """Whether everything that the journal names is there, and nothing else lies about."""
    found = []
    if repaired:
        outcome = words.rolled_back(session.repository.root, repaired, alone=False)
        found.append(Finding(" ".join((*outcome.message, *outcome.warnings)), repaired=True))
    for number in sorted(session.store.numbers()):
        try:
            session.state(number)
            session.store.git.run(
                "rev-list", "--objects", "--quiet", session.store.state_ref(number)
            )
        except GitError as error:
            fix = "jellyml history --prune 0d, once you need no older state"
            found.append(Finding(f"State {number} is damaged: {error.problem}", False, fix))
    rescued = session.private / "rescue"
    if rescued.is_dir() and any(rescued.rglob("*")):
        problem = f"Files that changed during an operation were saved in {rescued}."
        found.append(Finding(problem, False, "look at them; remove the folder when done."))
    return found
