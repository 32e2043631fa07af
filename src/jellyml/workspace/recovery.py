"""What an interrupted operation left behind, taken back path by path.

As it was before: left. As the operation wanted it, or missing: put back. Anything else is the
user's, made since: left, and named. The entry that says what was done may have come with a
stranger's folder, so what it is found like is kept as a state first: whatever is put back can be
taken back in turn.
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
from jellyml.workspace.plan import not_folders, obstacles
from jellyml.workspace.session import Session
from jellyml.workspace.staging import slot
from jellyml.workspace.state import Head, State, head_of, operation_files


@dataclass(frozen=True, slots=True)
class Repair:
    """An operation that was rolled back, and what was not touched because it is the user's.

    ``found`` is the state it was found in, 0 where nothing had changed or that was not kept.
    """

    operation: Operation
    put_back: int
    kept: tuple[str, ...]
    found: int


def repair(session: Session, *, own: bool = False) -> Repair | None:
    """Roll back the operation that was begun and not done; None when there is none.

    ``own`` is one that this process began: nobody else can have written its entry.
    """
    operation = session.journal.unfinished()
    if operation is None:
        session.mover.sweep()  # staged by one that had not begun, or displaced by one that was done
        return None
    before = session.state(operation.before)
    found = 0 if own else _keep(session, operation, before)
    kept = [str(path) for path in session.mover.rescue(operation)]
    kept += _bring_back(session, operation)
    moves = _three_way(session, operation, kept)
    around = _around(session, operation, before, moves, kept)
    _stage(session, moves, before)
    session.mover.move(moves, around, paths.standing())
    kept += (str(place) for _, place in session.mover.stayed)
    kept += map(str, session.mover.rescue(operation))
    kept += _restore_operation(session, operation, before)
    kept += _restore_head(session, operation, before.head)
    kept += _restore_index(session, operation, before)
    facts = {"returns": operation.facts.get("returns") or {}} if found else {}
    done = replace(operation, status="rolled back", after=found, moves=(), facts=facts)
    session.journal.write(done)
    session.mover.sweep()
    return Repair(operation, len(moves), tuple(kept), found)


def _keep(session: Session, operation: Operation, before: State) -> int:
    """Keep the workspace as it is found; its state's number, 0 where nothing had changed.

    A full disk must not stop a rollback, which takes no room: then it is not kept. Anything else
    that stands in the way does stop it, or what it changes could not be brought back.
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
    """Whether the disk, or the user's share of it, is full; git says so in words."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    return any(os.strerror(number) in str(error) for number in _FULL)


_FULL = (errno.ENOSPC, errno.EDQUOT)


def _bring_back(session: Session, operation: Operation) -> list[str]:
    """Things of the user's that were being carried: back to where they were.

    What was written to since the operation began is returned: it lies aside now.
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


def _three_way(session: Session, operation: Operation, kept: list[str]) -> list[Move]:
    """What is to be put back; what is not, because it is the user's, is added to ``kept``."""
    moves: list[Move] = []
    for move in operation.moves:
        now = on_disk_now(session, move.path)
        if now == move.before:
            continue
        if now is None or now == move.after:
            moves.append(Move(move.path, now, move.before))
        elif os.fsdecode(move.path) not in operation.aside:
            kept.append(str(at(session.repository.root, move.path)))
    back = [move.path for move in moves if move.after is not None]
    blocked = set(back) - set(_free(session, back, moves, kept))
    return [move for move in moves if move.path not in blocked]


def _free(
    session: Session, paths: Iterable[bytes], moves: Iterable[Move], kept: list[str]
) -> Iterator[bytes]:
    """Those of ``paths`` that nothing of the user's will stand in the way of; ``kept`` has it."""
    root = session.repository.root
    gone = {move.path for move in moves if move.before is not None}
    for path in paths:
        found = [str(at(root, one)) for one in obstacles(root, path, gone)]
        if not found:
            yield path
        kept += (one for one in found if one not in kept)


def on_disk_now(session: Session, path: bytes) -> BlobRef:
    """What lies at a path, as the journal writes it."""
    root = session.repository.root
    if any(at(root, parent).is_symlink() for parent in parents(path)):
        return None
    there = on_disk.identity(root, path, session.repository.object_format)
    return (there[0].decode(), there[1].decode()) if there else None


def _stage(session: Session, moves: list[Move], before: State) -> None:
    """Write out what is to be put back; an LFS file from LFS's own store.

    It is made beside and comes whole: what lies in the stage afterwards is never torn, and so
    either ours or somebody's.
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
    held = [move for path, move in rows.items() if path not in pointers]
    for path in pointers:
        oid = session.store.git.line("rev-parse", b"%s:files/%s" % (commit.encode(), path))
        held.append(replace(rows[path], after=("100644", oid)))
    staging.write_blobs(session.store.git, held, fresh, before.modes)
    object_format = session.repository.object_format
    staging.fill_state_pointers(held, fresh, pointers, session.lfs, object_format)
    atomic.sync_tree(fresh)
    session.mover.prepare()
    session.mover.stage.rmdir()
    fresh.rename(session.mover.stage)


def _displaced(session: Session) -> dict[BlobRef, Path]:
    """What the operation took away and nobody wrote to since."""
    found: dict[BlobRef, Path] = {}
    for path in files_below(session.mover.trash):
        name = os.fsencode(path)
        one = on_disk.identity(session.mover.trash, name, session.repository.object_format)
        if one:
            found[(one[0].decode(), one[1].decode())] = session.mover.trash / path
    return found


def _from_trash(trash: dict[BlobRef, Path], move: Move, before: State, fresh: Path) -> bool:
    """The very file goes back where it still lies: that takes no room, and keeps its time."""
    source = trash.get(move.after)
    if source is None or (
        not source.is_symlink() and source.stat().st_mode & 0o7777 != before.modes.file(move.path)
    ):
        return False
    source.rename(slot(fresh, move.path))
    del trash[move.after]
    return True


def _around(
    session: Session, operation: Operation, before: State, moves: Sequence[Move], kept: list[str]
) -> SideEffects:
    """Set-aside things come back, folders and modes are as they were."""
    modes = operation.facts.get("modes")
    chmods = (
        {os.fsencode(path): mode for path, mode in modes.items()} if isinstance(modes, dict) else {}
    )
    was_there = {move.path for move in operation.moves if move.before} | before.empty
    folders = before.empty | {parent for path in was_there for parent in parents(path)}
    made = operation.facts.get("folders")
    aside = {
        os.fsencode(name): place
        for name, place in operation.aside.items()
        if os.path.lexists(session.private / place)
    }
    root = session.repository.root
    half = {path for path, place in aside.items() if _is_half_carried(session, path, place)}
    free = half | set(_free(session, aside.keys() - half, moves, kept))
    gone = {move.path for move in moves if move.before is not None}
    return SideEffects(
        modes=chmods | {path: before.modes.folder(path) for path in folders},
        make=tuple(
            path
            for path in sorted(before.empty)
            if not any(not_folders(root, (path, *parents(path)), gone))
        ),
        unmake=tuple(map(os.fsencode, made)) if isinstance(made, list) else (),
        folders=before.modes,
        returns={os.fsdecode(path): place for path, place in aside.items() if path in free},
    )


def _is_half_carried(session: Session, path: bytes, place: str) -> bool:
    """Both are folders, or the same file: it was on its way to another file system."""
    there, aside = at(session.repository.root, path), session.private / place
    if is_folder(there) and is_folder(aside):
        return True
    found = on_disk_now(session, path)
    return found is not None and found == _identity(session, aside)


def _identity(session: Session, path: Path) -> BlobRef:
    name, object_format = os.fsencode(path.name), session.repository.object_format
    found = on_disk.identity(path.parent, name, object_format)
    return (found[0].decode(), found[1].decode()) if found else None


def _restore_operation(session: Session, operation: Operation, before: State) -> list[str]:
    """File by file: the user may have begun a merge of their own since."""
    git_dir = session.repository.git_dir
    was = session.operation_of(before)
    wanted = operation.facts.get("operation")
    digests = wanted if isinstance(wanted, dict) else {}
    now = dict(operation_files(git_dir))
    strange = [
        name
        for name, content in now.items()
        if content != was.get(name) and gitdir.digest(content) != digests.get(name)
    ]
    gitdir.put_operation(git_dir, was | {name: now[name] for name in strange})
    return [str(git_dir / name) for name in strange]


def _restore_head(session: Session, operation: Operation, before: Head) -> list[str]:
    now = head_of(session.repository)
    wanted = operation.facts.get("head")
    if isinstance(wanted, list) and now == Head(*wanted):
        gitdir.move_head(session.repository, session.private, before, "jellyml: rolled back")
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
    gitdir.put_index(session.repository, new if there else None)
    return []
