"""Which files and folders below some places may be checkpoints, as far as a walk can tell."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import JellyError, NoSnapshot
from jellyml.fs.atomic import NOTHING_THERE
from jellyml.remote.address import Remote
from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR

_SMALLEST = 1024  # bytes; a snapshot's header alone has as many
_OURS = (SIDECAR, MANIFEST_SIDECAR)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be a checkpoint.

    ``size`` in bytes is all that lies below a folder. ``asked`` where the user named it, and
    ``covered`` where a folder above it carries the code.
    """

    path: Path | Remote
    size: int
    asked: bool = False
    covered: bool = False


def places(paths: Iterable[Path | Remote]) -> Iterator[Candidate | JellyError]:
    """All below these paths, in the order of their names; errors take the place of what is not
    to be read. Links to files are followed, links to folders only where they are named.
    """
    for path in paths:
        if isinstance(path, Remote):
            yield from _far(path)
            continue
        try:
            seen = path.stat()
        except OSError as error:
            yield _unreadable(path, error)
            continue
        if stat.S_ISDIR(seen.st_mode):
            yield from _below(path)
        else:
            yield Candidate(path, seen.st_size, asked=True)


def _below(folder: Path) -> Iterator[Candidate | JellyError]:
    waiting = [(folder, False)]
    while waiting:
        folder, covered = waiting.pop()
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield _unreadable(folder, error)
            continue
        if any(entry.name == SIDECAR for entry in entries):
            yield Candidate(folder, _size(folder))
            covered = True
        folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        waiting += [(Path(one.path), covered) for one in reversed(folders) if one.name != ".git"]
        for entry in entries:
            yield from _file(entry, covered=covered)


def _file(entry: "os.DirEntry[str]", *, covered: bool) -> Iterator[Candidate | JellyError]:
    path = Path(entry.path)
    try:
        seen = entry.stat()
    except OSError as error:
        if error.errno in NOTHING_THERE:  # a link that leads nowhere, or gone since
            return
        yield _unreadable(path, error)
        return
    wanted = stat.S_ISREG(seen.st_mode) and seen.st_size >= _SMALLEST
    if wanted and entry.name not in _OURS:
        yield Candidate(path, seen.st_size, covered=covered)


def _far(remote: Remote) -> Iterator[Candidate | JellyError]:
    """A file, or what lies below a folder; a plain web server lists nothing."""
    if remote.is_http:
        yield Candidate(remote, 0, asked=True)
        return
    from jellyml.remote.fsspec import files_below

    try:
        found = list(files_below(remote))
    except JellyError as error:
        yield error
        return
    if [str(each) for each, _ in found] == [str(remote)]:
        yield Candidate(remote, found[0][1], asked=True)
        return
    folders = {each.parent.address: each.parent for each, _ in found if each.name == SIDECAR}
    for address, folder in folders.items():
        yield Candidate(folder, sum(size for each, size in found if each.lies_in(address)))
    for each, size in found:
        if size >= _SMALLEST and each.name not in _OURS:
            yield Candidate(each, size, covered=any(map(each.lies_in, folders)))


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue
    return total


def _unreadable(path: Path, error: OSError) -> JellyError:
    if isinstance(error, FileNotFoundError):
        return NoSnapshot(f"There is no file {path}.", "check its name and folder.")
    return JellyError(
        f"{path} could not be read: {error.strerror or error}.",
        "check its permissions and its disk.",
    )
