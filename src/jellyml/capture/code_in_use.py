"""Compare the modules of this process with a working tree: what the snapshot does not hold.

It never raises: a failed look is recorded, and the capture goes on.
"""

import hashlib
import os
import stat
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

from jellyml.capture.loaded_modules import is_installed, user_modules
from jellyml.repo.repository import Repository
from jellyml.snapshot.in_use import CodeInUse, IgnoredFile, Outside
from jellyml.working_tree.ignored import ignored
from jellyml.working_tree.reader import WorkingTree, including, remotes
from jellyml.working_tree.scan import scan
from jellyml.working_tree.selection import Limits, Selection

_OUTSIDE_TIME = 10.0  # seconds for all repositories outside
_MOST_REPOSITORIES = 10
_TICK = 1.0  # seconds: clocks of file systems, and the start of the process, are not exact


@dataclass(frozen=True, slots=True)
class UsedFile:
    """A file of a module, with links resolved."""

    path: Path
    info: os.stat_result


def complete(tree: WorkingTree, limits: Limits) -> tuple[WorkingTree, CodeInUse]:
    """Return the tree with files in use from ignored folders, and what it does not hold as it ran.

    Never raise.
    """
    try:
        found = _compare(tree)
        wanted = {os.fsencode(one.path) for one in found.ignored if one.captured}
        if not wanted:
            return tree, found
        more = including(tree, wanted, limits)
        held = {os.fsdecode(path) for path in wanted if more.selection.overlay.get(path)}
        rows = (replace(one, captured=one.path in held) for one in found.ignored)
        return more, replace(found, ignored=tuple(rows))
    except Exception as error:  # noqa: BLE001 (a capture does not end for this)
        return tree, CodeInUse(error=f"{type(error).__name__}: {error}")


def used_files() -> list[UsedFile]:
    """Return the user's files in use, without those of installed distributions."""
    folders: dict[str, str] = {}
    found: dict[str, UsedFile] = {}
    for path in dict.fromkeys(module.path for module in user_modules()):
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = os.path.join(folders[folder], name)  # noqa: PTH118 (quick)
        try:
            info = os.lstat(real)
            if stat.S_ISLNK(info.st_mode):
                real = os.path.realpath(real)
                info = os.lstat(real)
        except OSError:
            continue  # in an archive, or removed
        if stat.S_ISREG(info.st_mode):
            found[real] = UsedFile(Path(real), info)
    return [*found.values()]


def _compare(tree: WorkingTree) -> CodeInUse:
    root = tree.selection.root.resolve()
    roots = {root / os.fsdecode(prefix) for prefix, _ in tree.selection.scan.layers()}
    inside: dict[bytes, UsedFile] = {}
    outside: dict[Path | None, list[UsedFile]] = defaultdict(list)
    known: dict[Path, Path | None] = {}
    for file in used_files():
        own = repository_of(file.path.parent, known)
        if own in roots or (own is None and file.path.is_relative_to(root)):
            inside[os.fsencode(file.path.relative_to(root).as_posix())] = file
        elif not is_installed(str(file.path)):
            outside[own].append(file)
    left = ignored(tree.selection, inside)
    return CodeInUse(
        ignored=tuple(
            IgnoredFile(os.fsdecode(path), digest(inside[path].path), captured=left[path])
            for path in sorted(left)
            if not is_installed(str(inside[path].path))
        ),
        outside=tuple(_outside(outside)),
        changed=tuple(
            os.fsdecode(path)
            for path, file in sorted(inside.items())
            if left.get(path, True) and changed_since_start(file)
        ),
    )


def repository_of(folder: Path, known: dict[Path, Path | None] | None = None) -> Path | None:
    """Return the nearest folder with a ``.git``, from ``folder`` up. No git is started."""
    known = {} if known is None else known
    if folder not in known:
        if os.path.lexists(folder / ".git"):
            known[folder] = folder
        else:
            above = folder.parent
            known[folder] = repository_of(above, known) if above != folder else None
    return known[folder]


def digest(path: Path) -> str | None:
    """Return the SHA-256 of a file, None if it cannot be read."""
    try:
        with path.open("rb") as file:
            sha256 = hashlib.sha256()
            while block := file.read(1 << 20):
                sha256.update(block)
    except OSError:
        return None
    return sha256.hexdigest()


def _outside(groups: Mapping[Path | None, list[UsedFile]]) -> Iterable[Outside]:
    deadline = time.monotonic() + _OUTSIDE_TIME
    named = {root: files for root, files in groups.items() if root is not None}
    for number, (root, files) in enumerate(sorted(named.items())):
        names = tuple(sorted(file.path.relative_to(root).as_posix() for file in files))
        if number >= _MOST_REPOSITORIES:
            yield Outside(str(root), True, names, error="there are too many repositories")
            continue
        yield _state(Outside(str(root), True, names), root, deadline)
    folders: dict[Path, list[str]] = defaultdict(list)
    for file in groups.get(None, ()):
        folders[file.path.parent].append(file.path.name)
    for folder, files_there in sorted(folders.items()):
        yield Outside(str(folder), False, tuple(sorted(files_there)))


def _state(row: Outside, root: Path, deadline: float) -> Outside:
    """Return the row with the repository's commit and remotes, and whether it is dirty.

    An untracked or ignored file counts only if it is in use.
    """
    try:
        found = scan(Repository.find(root, deadline))
        layers = [*found.layers()]
        overlay = {
            prefix + path: row for prefix, layer in layers for path, row in layer.overlay.items()
        }
        used = [os.fsencode(name) for name in row.files]
        edited = any(layer.overlay.keys() - layer.untracked for _, layer in layers)
        lost = overlay.keys() & used or ignored(Selection(found, overlay, ()), used)
    except Exception as error:  # noqa: BLE001 (any fault of another repository)
        return replace(row, error=str(error) or type(error).__name__)
    dirty = edited or bool(lost)
    return replace(row, commit=found.head, remotes=remotes(found), dirty=dirty)


def changed_since_start(file: UsedFile) -> bool:
    """Return True if a file may have changed after this process imported it.

    It was written after the process started, or another file took its place since and its
    ``.pyc`` records another one. Where the start is unknown, the ``.pyc`` alone decides.
    """
    start = _started()
    if start is None:
        return _differs_from_pyc(file)
    if file.info.st_mtime > start + _TICK:
        return True
    return file.info.st_ctime > start + _TICK and _differs_from_pyc(file)


def _differs_from_pyc(file: UsedFile) -> bool:
    """Return True if the ``.pyc`` of a source records another time or size (PEP 552)."""
    if sys.dont_write_bytecode:
        return False
    try:
        with Path(cache_from_source(str(file.path))).open("rb") as pyc:
            head = pyc.read(16)
    except (OSError, NotImplementedError):
        return False
    if len(head) < 16 or head[:4] != MAGIC_NUMBER or any(head[4:8]):  # or it records a hash
        return False
    recorded = int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:], "little")
    mask = 0xFFFFFFFF
    return recorded != (int(file.info.st_mtime) & mask, file.info.st_size & mask)


def _started() -> float | None:
    """Return when this process started, in seconds since the epoch; None if not on Linux."""
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks
    except (OSError, ValueError, AttributeError, IndexError):
        return None
