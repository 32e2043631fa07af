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
from jellyml.workspace.journal import Operation, stacks
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


def numbers(session: Session) -> set[int]:
    """The states that the store holds."""
    listed = session.store.git.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/states")
    return {int(one) for one in listed.split()}


def asides(session: Session) -> dict[str, str]:
    """What was set aside and not brought back: path -> place, the newest of a path."""
    found: dict[str, str] = {}
    for operation in session.journal.operations():
        for name, place in operation.aside.items():
            if os.path.lexists(session.private / place):
                found[name] = place
    return found


def entries(session: Session) -> list[Entry]:
    """The states, newest first, each with the operation it was first seen beside."""
    operations = session.journal.operations()
    undo = {one.number for one in stacks(operations).undo}
    held = numbers(session)
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
    waiting = asides(session)
    if waiting:
        name, place = next(iter(waiting.items()))
        raise JellyError(
            f"{name} was set aside and not brought back yet; it lies at {session.private / place}.",
            "jellyml undo, or move it where you want it.",
        )
    if everything:
        return Outcome("prune", root, (f"Nothing of JellyML's is left in {root}.",))
    given_up = 0
    for batch in _batches(session, older_than, larger_than):
        session.store.drop_states(batch, _needed_commits(session, batch))
        given_up += len(batch)
    held = numbers(session)
    operations = session.journal.operations()
    spent = [one.number for one in operations if not {one.before, one.after} & held]
    # The last entry stays: numbers are never given twice.
    session.journal.remove([number for number in spent if number != operations[-1].number])
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
        old = [n for n in numbers(session) if n != current and seen.get(n, 0.0) < limit]
        if old:
            yield sorted(old)
    while larger_than is not None and session.store.size() > larger_than:
        left = sorted(numbers(session) - {current})
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
    left = numbers(session) - set(without)
    states = [session.state(number) for number in left]
    if any(state.operation for state in states):
        return set(session.store.kept()) | {s.head.commit for s in states if s.head.commit}
    return {state.head.commit for state in states if state.head.commit}


def examine(session: Session, repaired: Repair | None) -> list[Finding]:
    """Whether everything that the journal names is there, and nothing else lies about."""
    found = []
    if repaired:
        outcome = words.rolled_back(session.repository.root, repaired, alone=False)
        found.append(Finding(" ".join((*outcome.message, *outcome.warnings)), repaired=True))
    for number in sorted(numbers(session)):
        try:
            session.state(number)
            session.store.git.run("rev-list", "--objects", "--quiet", f"refs/states/{number}")
        except GitError as error:
            fix = "jellyml history --prune 0d, once you need no older state"
            found.append(Finding(f"State {number} is damaged: {error.problem}", False, fix))
    rescued = session.private / "rescue"
    if rescued.is_dir() and any(rescued.rglob("*")):
        problem = f"Files that changed during an operation were saved in {rescued}."
        found.append(Finding(problem, False, "look at them; remove the folder when done."))
    return found
