"""Compare the working tree with the state that an operation has restored.

Idea: read back every path that the operation changed: its type, mode and content. Invariant: no
message says that a folder is as it was if one of them differs.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from jellyml.fs.paths import is_folder
from jellyml.repo.paths import at, parents
from jellyml.workspace import recovery, set_aside
from jellyml.workspace.plan import Plan
from jellyml.workspace.session import Session
from jellyml.workspace.state import State


def differing(session: Session, plan: Plan, target: State, number: int) -> list[str]:
    """Return the paths that are not as in the state ``number``, which was just restored."""
    paths = {os.fsdecode(path) for path in _differing(session, plan, target)}
    named = {os.fspath(place) for _, place in session.mover.stayed}
    root = session.repository.root
    for one in set_aside.entries(session.private):
        if one.before == number:
            paths.add(one.name)
    return sorted(path for path in paths if os.fspath(root / path) not in named)


def _differing(session: Session, plan: Plan, target: State) -> Iterator[bytes]:
    root, effects = session.repository.root, plan.effects
    returned = {os.fsencode(name) for name in effects.returns}
    modes = dict(effects.modes)
    for move in plan.moves:
        if move.after is None and not returned.isdisjoint((move.path, *parents(move.path))):
            continue
        if recovery.on_disk_now(session, move.path) != move.after:
            yield move.path
        if move.after:
            modes[move.path] = target.modes.file(move.path)
    yield from (path for path in effects.make if not is_folder(at(root, path)))
    yield from (path for path, mode in modes.items() if _mode(session, path) not in (None, mode))
    yield from (path for path in returned if not os.path.lexists(at(root, path)))


def _mode(session: Session, path: bytes) -> int | None:
    """Return the mode of a file or folder; None for a link, which has none."""
    with suppress(FileNotFoundError, NotADirectoryError):
        info = at(session.repository.root, path).lstat()
        return None if stat.S_ISLNK(info.st_mode) else stat.S_IMODE(info.st_mode)
    return None
