"""Plan the way from one state to another: which paths change, and what is in the way.

Idea: the plan is complete before anything changes. Invariant: paths that are left in place are
not part of it; if one blocks a file of the target, it is set aside whole and restored later.
"""

import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from jellyml.errors import UnsafeToContinue
from jellyml.fs import atomic
from jellyml.fs.paths import is_folder
from jellyml.repo.git import Git
from jellyml.repo.paths import at, parents
from jellyml.repo.storage import Storage
from jellyml.working_tree.scan import GITLINK, SYMLINK
from jellyml.workspace import on_disk
from jellyml.workspace.mover import SideEffects
from jellyml.workspace.on_disk import LeftInPlace
from jellyml.workspace.operation_log import BlobRef, Move
from jellyml.workspace.state import State

_NOTHING = "000000"


@dataclass(frozen=True, slots=True)
class Plan:
    """The paths to move, and the changes that accompany them."""

    moves: tuple[Move, ...]
    effects: SideEffects = field(default_factory=SideEffects)
    stays: tuple[bytes, ...] = ()  # tracked files that the target state neither has nor removes


def differences(git: Git, one: str, other: str, *within: str) -> Iterator[Move]:
    """Yield the paths in which two trees differ. A gitlink counts as absent.

    ``within`` are pathspecs.
    """
    options = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev")
    answer = git.run("diff-tree", *options, one, other, "--", *within)
    fields = answer.split(b"\0")
    for row, path in zip(fields[:-1:2], fields[1::2], strict=True):
        mode, other_mode, oid, other_oid, _ = row[1:].decode().split()
        move = Move(path, _side(mode, oid), _side(other_mode, other_oid))
        if move.before != move.after:
            yield move


def _side(mode: str, oid: str) -> BlobRef:
    return None if mode in (_NOTHING, GITLINK.decode()) else (mode, oid)


def unknown_to(git: Git, tree: str, nested: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the nested repositories (with a trailing slash) that a tree has no files in."""
    return tuple(one for one in nested if not _holds_files(git, tree, one))


def to_state(
    git: Git,
    now: State,
    target: State,
    set_aside: LeftInPlace,
    nested: Iterable[bytes],
    created: Container[bytes],
) -> Plan:
    """Return the plan from the captured state to a state in the store.

    Three things are not removed: what the target leaves in place, unless set-aside files return
    there or an operation ``created`` it since; ``nested`` repositories that the target does not
    contain; and folders that contained such paths.
    """
    spared = unknown_to(git, target.files, nested)
    moves: list[Move] = []
    stays: list[bytes] = []
    for move in differences(git, now.files, target.files):
        if move.path.startswith(spared):
            continue
        is_removed = move.path in set_aside or move.path in created
        if move.after or is_removed or move.path not in target.left:
            moves.append(move)
        else:
            stays.append(move.path)
    # A folder that was left in place was there, even if it is empty without the files removed now.
    there = {one for move in moves if not move.after for one in parents(move.path)}
    hollow = now.empty - target.empty
    if hollow:
        filled = (move.path for move in moves if move.after)
        hollow -= {one for path in (*filled, *target.left.paths) for one in parents(path)}
    return Plan(
        tuple(moves),
        SideEffects(
            modes=_chmods(git, now, target, {move.path for move in moves}),
            make=tuple(sorted((target.empty - now.empty) | (there & target.left.paths))),
            unmake=tuple(path for path in sorted(hollow) if not path.startswith(spared)),
            folders=target.modes,
        ),
        tuple(stays),
    )


def _holds_files(git: Git, tree: str, folder: bytes) -> bool:
    """Return whether a tree has files in a folder (with a slash); a gitlink has none."""
    rows = git.run("ls-tree", "-z", tree, b":(literal)" + folder).split(b"\0")[:-1]
    return not all(row.startswith(GITLINK) for row in rows)


def holds(git: Git, tree: str, path: bytes) -> bool:
    """Return whether a tree contains a path, or anything below it."""
    return bool(git.run("ls-tree", "-z", tree, b":(literal)" + path))


def _chmods(git: Git, now: State, target: State, moved: set[bytes]) -> dict[bytes, int]:
    """Return modes that change while the content does not, also of folders that will exist.

    Only paths of the target are included: what it leaves in place keeps its mode.
    """
    files = now.modes.files.keys() | target.modes.files.keys()
    folders = now.modes.folders.keys() | target.modes.folders.keys()
    if now.modes.umask != target.modes.umask:  # the defaults differ too
        target_files, target_folders = _contents(git, target)
        files, folders = files | target_files, folders | target_folders
    wanted = {path: target.modes.file(path) for path in files - moved} | {
        path: target.modes.folder(path) for path in folders - moved
    }
    had = {path: now.modes.file(path) for path in files} | {
        path: now.modes.folder(path) for path in folders
    }
    differing = {path: mode for path, mode in wanted.items() if mode != had[path]}
    if not differing:
        return {}
    target_files, target_folders = _contents(git, target)
    return {p: mode for p, mode in differing.items() if p in target_files or p in target_folders}


def _contents(git: Git, target: State) -> tuple[set[bytes], set[bytes]]:
    """Return the files (without links) and folders of a state."""
    rows = git.run("ls-tree", "-r", "-z", target.files).split(b"\0")[:-1]
    listed = [row.split(b"\t", 1)[1] for row in rows if not row.startswith(SYMLINK)]
    every = (row.split(b"\t", 1)[1] for row in rows)
    return set(listed), {*(parent for path in every for parent in parents(path)), *target.empty}


def without_storage(plan: Plan, storage: Storage) -> Plan:
    """Return the plan without what would change or move git's own storage."""
    if not storage:
        return plan
    effects = plan.effects
    return replace(
        plan,
        moves=tuple(move for move in plan.moves if not storage.touches(move.path)),
        effects=replace(
            effects,
            modes={path: mode for path, mode in effects.modes.items() if not storage.holds(path)},
            make=tuple(path for path in effects.make if not storage.holds(path)),
            unmake=tuple(path for path in effects.unmake if not storage.touches(path)),
        ),
    )


def in_the_way(
    root: Path, plan: Plan, number: int, *, object_format: str, staying: Iterable[bytes] = ()
) -> Plan:
    """Add what is in the way to the plan: it is set aside, unless it is the same file.

    ``staying`` paths never move; a file that would be written there is left out of the plan.
    """
    gone = {move.path for move in plan.moves if move.before is not None}
    stay = frozenset(staying)
    moves = [
        move
        for move in plan.moves
        if move.path not in stay
        if move.before is not None or not is_there(root, move, object_format)
    ]
    new = (move.path for move in moves if move.before is None)
    blocking = [one for path in new for one in obstacles(root, path, gone)]
    for folder in plan.effects.make:
        blocking += not_folders(root, (folder, *parents(folder)), gone)
    aside: dict[str, str] = {}
    for path in blocking:
        if path in stay:
            raise UnsafeToContinue(
                f"{os.fsdecode(path)} is the checkpoint itself, and the code in it has a"
                " folder of that name.",
                "move the checkpoint to another folder, or load with --to DIR.",
            )
        aside.setdefault(os.fsdecode(path), place_aside(number, len(aside)))
    return replace(plan, moves=tuple(moves), effects=replace(plan.effects, aside=aside))


def place_aside(number: int, count: int) -> str:
    """Return where an operation sets its next file aside, relative to the private folder."""
    return f"aside/{number:08}/{count:04}"


def is_there(root: Path, move: Move, object_format: str) -> bool:
    """Return whether exactly this file is already there, although no state contains it."""
    if is_below_link(root, move.path):
        return False
    there = on_disk.identity(root, move.path, object_format)
    return there is not None and (there[0].decode(), there[1].decode()) == move.after


def is_below_link(root: Path, path: bytes) -> bool:
    """Return whether a folder above a path is a link: then nothing at the path is in the tree."""
    return any(at(root, parent).is_symlink() for parent in parents(path))


def obstacles(root: Path, path: bytes, gone: Container[bytes]) -> Iterator[bytes]:
    """Yield parents that are not folders, and the path itself if it will not be free."""
    yield from not_folders(root, parents(path), gone)
    place = at(root, path)
    if path in gone or not os.path.lexists(place) or is_below_link(root, path):
        return
    if not is_folder(place) or holds_more(root, place, gone):
        yield path


def not_folders(root: Path, paths: Iterable[bytes], gone: Container[bytes]) -> Iterator[bytes]:
    """Yield existing paths that are not folders and will not be gone."""
    for path in paths:
        place = at(root, path)
        if os.path.lexists(place) and path not in gone and not is_folder(place):
            yield path


def holds_more(root: Path, folder: Path, gone: Container[bytes]) -> bool:
    """Return whether a folder still contains a file after ``gone`` is removed."""
    for parent, folders, names in atomic.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*names, *links):
            if os.fsencode(Path(parent, name).relative_to(root)) not in gone:
                return True
    return False
