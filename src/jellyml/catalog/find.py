"""Find files and folders that may be checkpoints, by name and size only."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import JellyError, NoSnapshot
from jellyml.fs.atomic import NOTHING_THERE
from jellyml.remote.address import Remote
from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR

_SMALLEST = 1024  # bytes; the header of a snapshot alone has this size
_OURS = (SIDECAR, MANIFEST_SIDECAR)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or folder that may be a checkpoint.

    ``size`` in bytes is that of all files below a folder. ``named`` if the user named it, and
    ``covered`` if a folder above it carries the code.
    """

    path: Path | Remote
    size: int
    named: bool = False
    covered: bool = False


def find_candidates(paths: Iterable[Path | Remote]) -> Iterator[Candidate | JellyError]:
    """Yield all candidates at and below these paths, in the order of their names.

    An unreadable path yields an error. Links to files are followed, links to folders only if the
    user named them.
    """
    for path in paths:
        if isinstance(path, Remote):
            yield from _remote(path)
            continue
        try:
            status = path.stat()
        except OSError as error:
            yield _unreadable(path, error)
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _below(path)
        else:
            yield Candidate(path, status.st_size, named=True)


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
        status = entry.stat()
    except OSError as error:
        if error.errno in NOTHING_THERE:  # a dangling link, or deleted meanwhile
            return
        yield _unreadable(path, error)
        return
    is_candidate = stat.S_ISREG(status.st_mode) and status.st_size >= _SMALLEST
    if is_candidate and entry.name not in _OURS:
        yield Candidate(path, status.st_size, covered=covered)


def _remote(remote: Remote) -> Iterator[Candidate | JellyError]:
    """Yield a remote file, or the files below a remote folder. HTTP cannot list folders."""
    if remote.is_http:
        yield Candidate(remote, 0, named=True)
        return
    from jellyml.remote.fsspec import files_below

    try:
        files = list(files_below(remote))
    except JellyError as error:
        yield error
        return
    if [str(each) for each, _ in files] == [str(remote)]:
        yield Candidate(remote, files[0][1], named=True)
        return
    folders = {each.parent.address: each.parent for each, _ in files if each.name == SIDECAR}
    for address, folder in folders.items():
        yield Candidate(folder, sum(size for each, size in files if each.is_in(address)))
    for each, size in files:
        if size >= _SMALLEST and each.name not in _OURS:
            yield Candidate(each, size, covered=any(map(each.is_in, folders)))


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
