"""List, forget and prune the entries of the operation log and the states of the store."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from jellyml.errors import JellyError
from jellyml.fs import atomic
from jellyml.repo import lfs
from jellyml.repo.lfs import Pointer
from jellyml.workspace import results, set_aside
from jellyml.workspace.operation_log import Journal, Operation, stacks
from jellyml.workspace.results import Entry, Moment, Outcome
from jellyml.workspace.session import Session
from jellyml.workspace.set_aside import entries as set_aside_entries
from jellyml.workspace.store import Store


def entries(session: Session) -> list[Entry]:
    """Return the states, newest first, each with the operation that first recorded it."""
    operations = session.journal.operations()
    undo = {one.number for one in stacks(operations).undo}
    retained = session.store.numbers()
    current = session.current()
    aside = list(set_aside_entries(session.private))
    listed: dict[int, Entry] = {}
    for one in operations:
        if one.status == "begun":
            continue
        numbers = (one.before, one.after) if one.status == "done" else (one.after,)
        for number in numbers:
            if number in retained and number not in listed:
                entry = _entry(session, number, one, current, one.number in undo)
                things = [thing for thing in aside if thing.before == number]
                places = {thing.name: str(session.private / thing.place) for thing in things}
                listed[number] = replace(entry, aside=places)
    return [listed[number] for number in sorted(listed, reverse=True)]


def _entry(session: Session, number: int, one: Operation, current: int, undoable: bool) -> Entry:
    head = session.state(number).head
    return Entry(
        number=number,
        time=one.time,
        verb=one.verb,
        moment=_moment(number, one),
        model=one.model,
        commit=head.commit,
        head=head.ref.removeprefix("refs/heads/") if head.ref else "detached",
        changed=one.changed,
        current=number == current,
        undoable=undoable,
    )


def _moment(number: int, one: Operation) -> Moment:
    if one.status == "rolled back":
        return "during"
    return "before" if number == one.before else "after"


def forget(session: Session, *, everything: bool) -> Outcome:
    """Remove the last entry, or all entries, from the undo stack."""
    operations = session.journal.operations()
    undo = stacks(operations).undo
    root = session.repository.root
    if not undo:
        return results.nothing("forget", root)
    entry = session.journal.next("forget")
    target = 0 if everything else undo[-1].number
    session.journal.write(replace(entry, status="done", target=target))
    what = "All entries were" if everything else f"The last entry (a {undo[-1].verb}) was"
    reach = "Their states" if everything else "Its state"
    message = f"{what} taken off the undo stack. {reach} can still be reached: jellyml history"
    return Outcome("forget", root, (message,))


def prune(
    session: Session, older_than: float | None, larger_than: int | None, *, everything: bool
) -> Outcome:
    """Delete states, oldest first, and the log entries that refer only to deleted states."""
    root = session.repository.root
    if everything:
        _refuse_what_is_nowhere_else(session)
        return Outcome("prune", root, (f"Nothing of JellyML's is left in {root}.",))
    given_up = 0
    for batch in _batches(session, older_than, larger_than):
        session.store.drop_states(batch, _needed_commits(session, batch))
        given_up += len(batch)
    if not given_up:  # also remove what a killed prune left in the store
        session.store.drop_states((), _needed_commits(session, ()))
    lfs.keep_only(session.store.large, set(_needed_contents(session)))
    _remove_spent(session.store)
    retained = session.store.numbers()
    operations = session.journal.operations()
    spent = [
        one.number
        for one in operations
        # An entry with set-aside files must stay: it records their paths.
        if not {one.before, one.after} & retained and not any(set_aside.of(session.private, one))
    ]
    # The highest numbers stay, so that no number is used twice.
    by_states = sorted(operations, key=lambda one: (one.before, one.after))
    highest = {one.number for one in (*operations[-1:], *by_states[-1:])}
    session.journal.remove([number for number in spent if number not in highest])
    count = f"{given_up} state{'' if given_up == 1 else 's'}"
    return Outcome("prune", root, (f"{count} given up.",))


def _batches(
    session: Session, older_than: float | None, larger_than: int | None
) -> Iterator[list[str]]:
    """Yield refs of states to delete, those of removed worktrees first; never the nearest state."""
    store = session.store
    last_used = {ref: when for one in store.orphans() for ref, when in states_of(store, one)}
    last_used |= dict(states_of(store, session.private))
    last_used.pop(store.state_ref(session.nearest()), None)
    if older_than is not None:
        limit = time.time() - older_than
        old = [ref for ref, when in last_used.items() if when < limit]
        if old:
            yield old
    while larger_than is not None and store.size() > larger_than:
        retained = store.all_states()
        left = [ref for ref in last_used if ref in retained]
        if not left:
            return
        yield left[: max(1, len(left) // 8)]


def states_of(store: Store, private: Path) -> Iterator[tuple[str, float]]:
    """Yield the state refs of a worktree, oldest first, with the time each was last used."""
    last_used: dict[int, float] = {}
    for one in Journal(private / "ops").operations():
        for number in (one.before, one.after):
            last_used[number] = max(last_used.get(number, 0.0), one.time)
    prefix = store.refs_of(private)
    numbers = (ref.removeprefix(prefix) for ref in store.all_states() if ref.startswith(prefix))
    for number in sorted(int(name) for name in numbers if name.isdecimal()):
        yield f"{prefix}{number}", last_used.get(number, 0.0)


def _remove_spent(store: Store) -> None:
    """Remove the folders of removed worktrees that contain nothing any more."""
    for private in store.orphans():
        rescued = any((private / "rescue").rglob("*"))
        if (
            not rescued
            and not any(set_aside_entries(private))
            and not any(states_of(store, private))
        ):
            atomic.remove_tree(private)


def _needed_commits(session: Session, without: Iterable[str]) -> set[str]:
    """Return the commits of the remaining states, and of each worktree's last load."""
    states = [session.state_at(ref) for ref in session.store.all_states() - set(without)]
    heads = {state.head.commit for state in states if state.head.commit}
    journals = (Journal(private / "ops") for private in session.store.privates())
    heads |= {last.commit for last in map(Journal.last, journals) if last and last.commit}
    return heads | set(session.store.kept_commits()) if any(s.operation for s in states) else heads


def _needed_contents(session: Session) -> Iterator[str]:
    """Yield the digests of large files that the remaining states contain as pointers."""
    git = session.store.git
    for ref in session.store.all_states():
        for path in session.state_at(ref).lfs:
            blob = git.line("rev-parse", os.fsencode(ref) + b":files/" + path)
            for content in git.read_objects([blob]):
                pointer = Pointer.parse(content)
                if pointer:
                    yield pointer.oid


def _refuse_what_is_nowhere_else(session: Session) -> None:
    """Raise JellyError if JellyML keeps files of the user, for any worktree."""
    for private in session.store.privates():
        for one in set_aside_entries(private):
            raise JellyError(
                f"{one.name} was set aside and not brought back yet;"
                f" it is at {private / one.place}.",
                "jellyml undo, or move it where you want it.",
            )
        for path in filter(Path.is_file, (private / "rescue").rglob("*")):
            raise JellyError(
                f"A file that changed during an operation was saved at {path}.",
                "look at it, and move it where you want it.",
            )
