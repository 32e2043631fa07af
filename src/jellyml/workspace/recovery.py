"""Roll back an interrupted operation, path by path.

Idea: compare each path with the log entry. As before the operation: leave it. As after it, or
missing: restore it. Anything else was changed by the user since: leave it and report it.
Invariant: the workspace is saved as a state first, because the entry may come from an untrusted
folder; so the rollback itself can be undone.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jellyml.errors import JellyError
from jellyml.fs import atomic, paths
from jellyml.fs.paths import is_folder
from jellyml.repo.paths import at, parents
from jellyml.workspace import gitdir, on_disk, staging
from jellyml.workspace.mover import SideEffects, files_below
from jellyml.workspace.operation_log import BlobRef, Move, Operation
from jellyml.workspace.plan import is_below_link, not_folders, obstacles
from jellyml.workspace.session import Session
from jellyml.workspace.staging import slot
from jellyml.workspace.state import Head, State, head_of, operation_files


@dataclass(frozen=True, slots=True)
class Repair:
    """An operation that was rolled back, and the user's paths that were left as they are.

    ``state`` is the state before the rollback; 0 if nothing had changed, or it was not saved.
    """

    operation: Operation
    put_back: int
    unchanged: tuple[str, ...]
    state: int


def repair(session: Session, *, own: bool = False) -> Repair | None:
    """Roll back the operation that was begun and not completed. Returns None if there is none.

    ``own``: this process began it, so its entry is trusted and no state is saved.
    """
    operation = session.journal.unfinished()
    if operation is None:
        session.mover.sweep()  # left by an operation that did not begin, or that was done
        return None
    before = session.state(operation.before)
    state_number = 0 if own else _keep(session, operation, before)
    unchanged = [str(path) for path in session.mover.rescue(operation)]
    unchanged += _bring_back(session, operation)
    moves = _three_way(session, operation, unchanged)
    effects = _side_effects(session, operation, before, moves, unchanged)
    _stage(session, moves, before)
    session.mover.move(moves, effects, paths.current_folder())
    unchanged += (str(place) for _, place in session.mover.stayed)
    unchanged += map(str, session.mover.rescue(operation))
    unchanged += _not_restored(session, moves)
    unchanged += _restore_operation(session, operation, before)
    unchanged += _restore_head(session, operation, before.head)
    unchanged += _restore_index(session, operation, before)
    facts = {"returns": operation.facts.get("returns") or {}} if state_number else {}
    done = replace(operation, status="rolled back", after=state_number, moves=(), facts=facts)
    session.journal.write(done)
    session.mover.sweep()
    return Repair(operation, len(moves), tuple(unchanged), state_number)


def _not_restored(session: Session, moves: Iterable[Move]) -> Iterator[str]:
    """Yield the paths that differ from what the rollback has put there."""
    for move in moves:
        if on_disk_now(session, move.path) != move.after:
            yield str(at(session.repository.root, move.path))


def _keep(session: Session, operation: Operation, before: State) -> int:
    """Save the current workspace as a state. Returns its number, 0 if nothing had changed.

    On a full disk no state is saved, because a rollback needs no space and must not fail. Any
    other error stops the rollback, since its changes could not be undone.
    """
    named = frozenset(move.path for move in operation.moves)
    try:
        with session.draft(named, keep=tuple(before.left.paths)) as now:
            return session.keep(now) if now.draft.state.commit != before.commit else 0
    except (OSError, JellyError) as error:
        if not _is_full(error):
            raise
        return 0


def _is_full(error: Exception) -> bool:
    """Return whether the disk or the quota is full; git reports it in its message."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(os.strerror(number) in str(error) for number in _FULL)


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _bring_back(session: Session, operation: Operation) -> list[str]:
    """Move set-aside files that were being restored back to where they were set aside.

    Returns those that changed since the operation began.
    """
    root, private = session.repository.root, session.private
    returns = operation.facts.get("returns")
    written: list[str] = []
    for name, place in returns.items() if isinstance(returns, dict) else ():
        if not os.path.lexists(private / place) and os.path.lexists(root / name):
            session.mover.set_aside(os.fsencode(name), place)
            written += _written_since(private / place, operation.time)
    return written


def _written_since(thing: Path, moment: float) -> Iterator[str]:
    below = files_below(thing) if is_folder(thing) else [Path()]
    for path in below:
        if (thing / path).lstat().st_mtime >= moment:
            yield str(thing / path)


def _three_way(session: Session, operation: Operation, unchanged: list[str]) -> list[Move]:
    """Return what to restore. Paths that the user changed are added to ``unchanged``."""
    moves: list[Move] = []
    for move in operation.moves:
        now = on_disk_now(session, move.path)
        if now == move.before:
            continue
        if now is None or now == move.after:
            moves.append(Move(move.path, now, move.before))
        elif os.fsdecode(move.path) not in operation.aside:
            unchanged.append(str(at(session.repository.root, move.path)))
    back = [move.path for move in moves if move.after is not None]
    blocked = set(back) - set(_free(session, back, moves, unchanged))
    return [move for move in moves if move.path not in blocked]


def _free(
    session: Session, paths: Iterable[bytes], moves: Iterable[Move], unchanged: list[str]
) -> Iterator[bytes]:
    """Yield the paths that no file of the user blocks. Blocking files go to ``unchanged``."""
    root = session.repository.root
    gone = {move.path for move in moves if move.before is not None}
    for path in paths:
        blocking = [str(at(root, one)) for one in obstacles(root, path, gone)]
        if not blocking:
            yield path
        unchanged += (one for one in blocking if one not in unchanged)


def on_disk_now(session: Session, path: bytes) -> BlobRef:
    """Return what is at a path, in the form of the operation log."""
    root = session.repository.root
    if is_below_link(root, path):
        return None
    there = on_disk.identity(root, path, session.repository.object_format)
    return (there[0].decode(), there[1].decode()) if there else None


def _stage(session: Session, moves: list[Move], before: State) -> None:
    """Stage the files to restore; an LFS file comes from LFS's store.

    The folder is filled beside the staging folder and then renamed. So each staged file is
    complete, and is either JellyML's or the user's.
    """
    fresh = session.private / "fresh"
    atomic.remove_tree(fresh)
    fresh.mkdir(mode=0o700)
    trash = _displaced(session)
    commit = before.commit
    rows = {
        move.path: move
        for move in moves
        if move.after and not _from_trash(trash, move, before, fresh)
    }
    pointers = before.lfs & rows.keys()
    staged = [move for path, move in rows.items() if path not in pointers]
    for path in pointers:
        oid = session.store.git.line("rev-parse", b"%s:files/%s" % (commit.encode(), path))
        staged.append(replace(rows[path], after=("100644", oid)))
    staging.write_blobs(session.store.git, staged, fresh, before.modes)
    object_format = session.repository.object_format
    staging.fill_state_pointers(staged, fresh, pointers, session.lfs, object_format)
    atomic.sync_tree(fresh)
    session.mover.prepare()
    session.mover.stage.rmdir()
    fresh.rename(session.mover.stage)


def _displaced(session: Session) -> dict[BlobRef, Path]:
    """Return the files that the operation displaced, by content."""
    displaced: dict[BlobRef, Path] = {}
    for path in files_below(session.mover.trash):
        name = os.fsencode(path)
        one = on_disk.identity(session.mover.trash, name, session.repository.object_format)
        if one:
            displaced[(one[0].decode(), one[1].decode())] = session.mover.trash / path
    return displaced


def _from_trash(trash: dict[BlobRef, Path], move: Move, before: State, fresh: Path) -> bool:
    """Move the original file back from the trash: it takes no space and keeps its times."""
    source = trash.get(move.after)
    if source is None or (
        not source.is_symlink() and source.stat().st_mode & 0o7777 != before.modes.file(move.path)
    ):
        return False
    source.rename(slot(fresh, move.path))
    del trash[move.after]
    return True


def _side_effects(
    session: Session,
    operation: Operation,
    before: State,
    moves: Sequence[Move],
    unchanged: list[str],
) -> SideEffects:
    """Return the accompanying changes: set-aside files return, folders and modes are restored."""
    modes = operation.facts.get("modes")
    chmods = (
        {os.fsencode(path): mode for path, mode in modes.items()} if isinstance(modes, dict) else {}
    )
    was_there = {move.path for move in operation.moves if move.before} | before.empty
    folders = before.empty | {parent for path in was_there for parent in parents(path)}
    created = operation.facts.get("folders")
    aside = {
        os.fsencode(name): place
        for name, place in operation.aside.items()
        if os.path.lexists(session.private / place)
    }
    root = session.repository.root
    half = {path for path, place in aside.items() if _is_half_carried(session, path, place)}
    free = half | set(_free(session, aside.keys() - half, moves, unchanged))
    gone = {move.path for move in moves if move.before is not None}
    return SideEffects(
        modes=chmods | {path: before.modes.folder(path) for path in folders},
        make=tuple(
            path
            for path in sorted(before.empty)
            if not any(not_folders(root, (path, *parents(path)), gone))
        ),
        unmake=tuple(map(os.fsencode, created)) if isinstance(created, list) else (),
        folders=before.modes,
        returns={os.fsdecode(path): place for path, place in aside.items() if path in free},
    )


def _is_half_carried(session: Session, path: bytes, place: str) -> bool:
    """Return whether a file was being moved across file systems: both are folders, or equal."""
    there, aside = at(session.repository.root, path), session.private / place
    if is_folder(there) and is_folder(aside):
        return True
    current = on_disk_now(session, path)
    return current is not None and current == _identity(session, aside)


def _identity(session: Session, path: Path) -> BlobRef:
    name, object_format = os.fsencode(path.name), session.repository.object_format
    entry = on_disk.identity(path.parent, name, object_format)
    return (entry[0].decode(), entry[1].decode()) if entry else None


def _restore_operation(session: Session, operation: Operation, before: State) -> list[str]:
    """Restore the operation files one by one, since the user may have begun a merge meanwhile."""
    git_dir = session.repository.git_dir
    was = session.operation_of(before)
    wanted = operation.facts.get("operation")
    digests = wanted if isinstance(wanted, dict) else {}
    now = dict(operation_files(git_dir))
    foreign = [
        name
        for name, content in now.items()
        if content != was.get(name) and gitdir.digest(content) != digests.get(name)
    ]
    modes = {name: mode for name, mode in before.operation_modes.items() if name not in foreign}
    both = was | {name: now[name] for name in foreign}
    gitdir.put_operation(git_dir, both, modes, session.sharing)
    return [str(git_dir / name) for name in foreign]


def _restore_head(session: Session, operation: Operation, before: Head) -> list[str]:
    now = head_of(session.repository)
    wanted = operation.facts.get("head")
    if isinstance(wanted, list) and now == Head(*wanted):
        reason = "jellyml: rolled back"
        gitdir.move_head(session.repository, session.private, before, reason, session.sharing)
    elif now != before:
        return [str(session.repository.git_dir / "HEAD")]
    branch = operation.facts.get("branch")
    if isinstance(branch, str) and before.commit:
        gitdir.drop_branch(session.repository, branch, before.commit)
    return []


def _restore_index(session: Session, operation: Operation, before: State) -> list[str]:
    index = session.repository.index
    now = gitdir.digest(gitdir.content_of(index))
    new = session.private / "index"
    new.unlink(missing_ok=True)
    there = session.saved_index(before, new)
    as_it_was = gitdir.digest(new.read_bytes()) if there else None
    if now == as_it_was or (now is not None and now != operation.facts.get("index")):
        new.unlink(missing_ok=True)
        return [] if now == as_it_was else [str(index)]
    session.store.lend_objects(before.staged)
    gitdir.put_index(session.repository, new if there else None, session.sharing)
    return []
