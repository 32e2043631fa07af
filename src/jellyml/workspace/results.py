"""The results of an operation, and their sentences."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jellyml.errors import JellyError, Unrelated, UnsafeToContinue, UsageError, pasteable
from jellyml.fs import paths

if TYPE_CHECKING:
    from jellyml.remote.address import Location
    from jellyml.workspace.load import IncomingSnapshot
    from jellyml.workspace.operation_log import Operation
    from jellyml.workspace.recovery import Repair
    from jellyml.workspace.state import Head

ChangeKind = Literal["add", "modify", "delete", "move aside"]
_SHORT = 8
_FEW = 10


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one path, relative to the working tree's root."""

    kind: Literal["add", "modify", "delete", "move aside"]
    path: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one operation: sentences, and the data behind them."""

    verb: str
    root: Path
    message: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # shown even when output is quiet
    changes: tuple[Change, ...] = ()
    commit: str | None = None


# "during": the state in which an interrupted operation was found, before its rollback.
Moment = Literal["before", "during", "after"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A state that can be restored. ``time`` is in seconds since 1970."""

    number: int
    time: float
    verb: str  # the operation before or after this state
    moment: Moment
    model: str | None
    commit: str | None  # the commit of HEAD
    head: str  # the branch, or "detached"
    changed: int  # paths the operation changed
    current: bool
    undoable: bool
    aside: Mapping[str, str] = field(default_factory=dict)  # path -> where it is set aside


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that ``doctor`` found, or a fact worth knowing."""

    problem: str
    repaired: bool
    fix: str = ""
    expected: bool = False  # a fact, not a problem


def nothing(verb: str, root: Path) -> Outcome:
    """Return the warning that there is nothing to do; shown even when output is quiet."""
    return Outcome(verb, root, warnings=(f"There is nothing to {verb}.",))


def no_such_state(number: int) -> JellyError:
    return UsageError(f"There is no state {number}.", "jellyml history")


def loaded(root: Path, incoming: "IncomingSnapshot", commit: str, *, new: bool) -> tuple[str, ...]:
    """Describe the result of a load, how to continue, and how to go back."""
    lines = [f"The code of {incoming.path.name} is loaded into {root}."]
    if incoming.checkpoint.damaged:
        lines.append(f"Another snapshot in the file was skipped: {incoming.checkpoint.damaged}")
    branch = incoming.manifest.branch
    origin = f", captured on branch {branch}" if branch else ""
    git = f"git{_there(root, '-C')}"
    short = commit[:_SHORT]
    lines.append(f"HEAD is detached at {short}{origin}; {git} show {short} tells more.")
    lines.append(f"To go on from here: {git} switch -c NEW-BRANCH")
    lines.append(f"To go back: jellyml undo{_there(root, '-c')}")
    if new:
        lines.append("There was no git repository here, so one was made.")
    return tuple(lines)


def would_load(root: Path, incoming: "IncomingSnapshot", changes: tuple[Change, ...]) -> Outcome:
    count = f"{len(changes)} path{'' if len(changes) == 1 else 's'}"
    message = f"Loading {incoming.path.name} would change {count} in {root}. Nothing was changed."
    return Outcome("load", root, (message,), tuple(incoming.warnings), changes)


def other_files_there(root: Path, aside: Mapping[str, str], model: "Location") -> JellyError:
    name = next(iter(aside))
    return UnsafeToContinue(
        f"{root / name} is here with other content than in the snapshot. Nothing was changed.",
        f"jellyml load {pasteable(model)} --to NEW-FOLDER",
    )


def unrelated(root: Path, model: "Location", count: int) -> Unrelated:
    files_ = "1 file" if count == 1 else f"{count:,} files"
    return Unrelated(
        f"The code in {model} has no commit and no path in common with {root}. Loading it there"
        f" would remove {files_}. Nothing was changed.",
        f"jellyml load {pasteable(model)} --to NEW-FOLDER; if the folder is right, add -y.",
    )


def would_ask(root: Path, count: int) -> str:
    files_ = "1 file" if count == 1 else f"{count:,} files"
    return (
        f"The code has no commit and no path in common with {root}, and would remove {files_}:"
        " a load asks first (-y answers yes)."
    )


def moved(
    verb: str, root: Path, head: "Head", entry: "Operation | None", *, exact: bool
) -> tuple[str, ...]:
    """Describe where the user is after an undo, redo or restore.

    ``exact`` says that the working tree was compared with the state, and is equal.
    """
    done = {
        "undo": f"The {entry.verb if entry else ''} is undone",
        "redo": "The undo is undone",
        "restore": "The state is restored",
    }[verb]
    if head.ref:
        where = f"on branch {head.ref.removeprefix('refs/heads/')}"
    else:
        where = f"HEAD is detached at {(head.commit or '')[:_SHORT]}"
    back = {"undo": "jellyml redo", "redo": "jellyml undo", "restore": "jellyml undo"}[verb]
    as_it_was = "is as it was" if exact else "is as it was but for some paths"
    lines = [
        f"{done}: {root} {as_it_was}, {where}.",
        f"To go back: {back}{_there(root, '-c')}",
    ]
    if verb == "undo" and entry and entry.made_repository:
        lines.append(
            "The repository that the load made is still there."
            f" To remove it, history and all: rm -r {pasteable(root / '.git')}"
        )
    return tuple(lines)


def _there(root: Path, option: str) -> str:
    """Return the option that makes a command apply to ``root`` from the current folder."""
    here = paths.current_folder()
    if here is not None and here.resolve().is_relative_to(root.resolve()):
        return ""
    return f" {option} {pasteable(root)}"


def rolled_back(root: Path, repaired: "Repair", *, alone: bool) -> Outcome:
    """Report a rollback, and the paths that it left as they are."""
    verb = repaired.operation.verb
    message = f"A {verb} that was interrupted was rolled back ({repaired.put_back} paths put back)."
    lines = [message]
    if alone and not repaired.unchanged:
        lines.append("Everything is as it was before it.")
    if repaired.state:
        lines.append(
            f"How it was found is kept: jellyml restore {repaired.state}{_there(root, '-c')}"
        )
    warnings = tuple(
        f"{path} was changed since, and was left as it is." for path in repaired.unchanged
    )
    return Outcome("undo", root, tuple(lines), warnings)


def waiting(root: Path) -> Outcome:
    """Report a pending rollback of a repository that is read-only."""
    message = (
        f"A command was interrupted in {root}; it is rolled back once its .git can be written."
    )
    return Outcome("undo", root, warnings=(message,))


def failed(verb: str, error: OSError, repaired: "Repair | None" = None) -> JellyError:
    """Return the error for a system fault, after everything was restored."""
    where = f" ({error.filename})" if error.filename else ""
    left = "".join(f" {path} was left as it is." for path in repaired.unchanged) if repaired else ""
    return UnsafeToContinue(
        f"The {verb} failed: {error.strerror or error}{where}. The workspace is as it was.{left}",
        "mend the cause and try again.",
    )


def pointers(paths: Iterable[bytes]) -> list[str]:
    """Warn about files whose content git-lfs must fetch."""
    return [
        f"{os.fsdecode(path)} is a pointer; its content comes with: git lfs pull" for path in paths
    ]


def embedded(folders: Sequence[str]) -> list[str]:
    """Warn about folders of the loaded code that git would take for repositories."""
    return _first(
        folders,
        lambda folder: (
            f"{folder} looks like a git repository, with settings of its own: git started"
            " in it obeys them. JellyML does not."
        ),
        "So do {} more folders.",
    )


def parts_that_stay(model: "Location", paths: Sequence[bytes]) -> list[str]:
    """Warn about files of the checkpoint's folder for which the code has other content."""
    return _first(
        map(os.fsdecode, paths),
        lambda path: (
            f"{path} was left as it is: it is part of the checkpoint, whose code has other"
            f" bytes for it. jellyml load {pasteable(model)} --to NEW-FOLDER brings those."
        ),
        "So were {} more files of the checkpoint.",
    )


def differing(paths: Sequence[str]) -> list[str]:
    """Warn about paths that are not as in the state that was restored."""
    return _first(
        paths, lambda path: f"{path} is not as it was in that state.", "Nor are {} more paths."
    )


def tracked_stays(paths: Sequence[bytes]) -> list[str]:
    """Warn about tracked files at paths that a state leaves in place: they may have been there."""
    return _first(
        map(os.fsdecode, paths),
        lambda path: (
            f"{path} stays on disk: git ignores it in that state, and it may have been"
            " there before."
        ),
        "So do {} more files.",
    )


def repositories_stay(folders: Sequence[bytes]) -> list[str]:
    """Warn about nested repositories that git cannot read."""
    return _first(
        map(os.fsdecode, folders),
        lambda folder: (
            f"{folder} stays as it is: it is a repository that git cannot read"
            f" (git -C {pasteable(folder)} status tells why)."
        ),
        "So do {} more repositories.",
    )


def storage_stays(paths: Sequence[bytes]) -> list[str]:
    """Warn about files that were not written, because git stores a repository at their paths."""
    return _first(
        map(os.fsdecode, paths),
        lambda path: f"{path} was left as it is: git stores a repository there.",
        "So were {} more paths.",
    )


def _first(names: Iterable[str], sentence: Callable[[str], str], others: str) -> list[str]:
    """Return a sentence for each of the first names, and one with the number of the others."""
    names = list(names)
    more = len(names) - _FEW
    return [*map(sentence, names[:_FEW]), *([others.format(more)] if more > 0 else [])]


def set_aside(private: Path, aside: Mapping[str, str]) -> list[str]:
    """Report the files that were set aside, and where they are."""
    return [
        f"{name} was in the way; until you go back it is at {private / place}."
        for name, place in aside.items()
    ]


def stays_aside(source: Path, place: Path) -> str:
    return f"{place} was not brought back, something else is in its place: it is at {source}."


def typed_meanwhile(path: str) -> str:
    return f"A file changed while it was being replaced; what it held then is at {path}."


def commits_saved(branch: str) -> str:
    return f"Your commits were on no branch; they are now on branch {branch}."


def branches_dropped(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"The branch {name} is deleted: HEAD holds its commits again." for name in names)


def branch_moved(ref: str, commit: str | None, *, gone: bool) -> str:
    name = ref.removeprefix("refs/heads/")
    what = "is gone" if gone else "has moved"
    return f"The branch {name} {what} since, so HEAD is detached at {(commit or '')[:_SHORT]}."


def branch_taken(ref: str, commit: str, other: Path) -> str:
    name = ref.removeprefix("refs/heads/")
    where = f"HEAD is detached at {commit[:_SHORT]}"
    return f"The branch {name} is checked out in the worktree {other} since, so {where}."


def branch_is_elsewhere(ref: str, other: Path) -> str:
    name = ref.removeprefix("refs/heads/")
    return f"The branch {name} is in use here and in the worktree {other}."


def branch_was_born(ref: str) -> str:
    return f"The branch {ref.removeprefix('refs/heads/')} has commits since; HEAD is on it."
