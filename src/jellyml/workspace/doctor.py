"""Check the states that the operation log names, and report what JellyML keeps for the user."""

from collections.abc import Iterator
from pathlib import Path

from jellyml.errors import GitError, pasteable
from jellyml.workspace import results
from jellyml.workspace.history import states_of
from jellyml.workspace.recovery import Repair
from jellyml.workspace.results import Finding
from jellyml.workspace.session import Session
from jellyml.workspace.set_aside import entries as set_aside_entries
from jellyml.workspace.store import Store


def examine(session: Session, repaired: Repair | None) -> list[Finding]:
    """Return the problems found, and facts worth knowing."""
    findings = []
    if repaired:
        outcome = results.rolled_back(session.repository.root, repaired, alone=False)
        findings.append(Finding(" ".join((*outcome.message, *outcome.warnings)), repaired=True))
    if session.is_read_only and session.journal.unfinished():
        (problem,) = results.waiting(session.repository.root).warnings
        findings.append(Finding(problem, False, "make it writable, then run: jellyml doctor"))
    orphans = session.store.orphans()
    findings += _damaged(session)
    findings += _set_aside(session)
    for private in (session.private, *orphans):
        findings += _rescued(private)
    for private in orphans:
        findings += _orphaned(session.store, private)
    return findings


def _damaged(session: Session) -> Iterator[Finding]:
    git = session.store.git
    for number in sorted(session.store.numbers()):
        try:
            session.state(number)
            git.run("rev-list", "--objects", "--quiet", session.store.state_ref(number))
        except GitError as error:
            fix = "jellyml history --prune 0d, once you need no older state"
            yield Finding(f"State {number} is damaged: {error.problem}", False, fix)


def _set_aside(session: Session) -> Iterator[Finding]:
    numbers = session.store.numbers()
    for one in set_aside_entries(session.private):
        message = f"{one.name} is set aside; it is at {session.private / one.place}."
        if one.before in numbers:
            fix = f"jellyml restore {one.before} brings it back; so does jellyml undo, in its turn."
            yield Finding(message, False, fix, expected=True)
        else:
            yield Finding(message, False, "its state was given up: move it where you want it.")


def _rescued(private: Path) -> Iterator[Finding]:
    rescued = private / "rescue"
    if rescued.is_dir() and any(rescued.rglob("*")):
        problem = f"Files that changed during an operation were saved in {rescued}."
        yield Finding(problem, False, "look at them; remove the folder when done.")


def _orphaned(store: Store, private: Path) -> Iterator[Finding]:
    """Report what is kept of a removed worktree. A new worktree may have its name by now."""
    name = private.name.rpartition(".")[0]
    for one in set_aside_entries(private):
        message = f"{one.name}, of the removed worktree {name}, is at {private / one.place}."
        yield Finding(message, False, "move it where you want it.")
    states = [ref for ref, _ in states_of(store, private)]
    if states:
        message = (
            f"The worktree {name} is gone; its journal is in {private}, and its"
            f" {len(states)} states are kept, the last one as {states[-1]}."
        )
        archive = f"git --git-dir={pasteable(store.bare)} archive {pasteable(states[-1])} files"
        look = f"{archive} | tar -x -C DIR"
        fix = f"to see the files: {look} - to give the states up: jellyml history --prune 0d"
        yield Finding(message, False, fix, expected=True)
