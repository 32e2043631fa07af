"""Write new files beside the working tree, before anything moves.

Idea: the staging folder takes all writes, so a full disk is noticed while nothing has changed.
A snapshot is written by ``git checkout-index``, which applies line-end rules and starts no
filter, hook or submodule. A state is written byte for byte.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from jellyml.errors import GitError
from jellyml.fs import atomic
from jellyml.repo.git import Git
from jellyml.repo.lfs import Pointer
from jellyml.repo.paths import parents
from jellyml.working_tree.attributes import is_off
from jellyml.working_tree.scan import EXECUTABLE, SYMLINK
from jellyml.working_tree.scratch import Scratch
from jellyml.workspace import on_disk
from jellyml.workspace.on_disk import Modes, umask
from jellyml.workspace.operation_log import Move

_BLOCK = 1 << 20
# Files that one git process writes. Its limits on processor time and memory are per process, and
# each file takes a tenth of a millisecond: a million files exceed any limit.
_AT_ONCE = 10_000

Entries: TypeAlias = dict[bytes, tuple[str, str]]
"""Modes and object ids by their paths."""


def write_blobs(git: Git, moves: Sequence[Move], stage: Path, modes: Modes) -> None:
    """Write each move's new content below ``stage``, with its full mode."""
    wanted = [move for move in moves if move.after is not None]
    ids = [move.after[1] for move in wanted if move.after]
    for move, content in zip(wanted, git.read_objects(ids), strict=True):
        assert move.after
        path = slot(stage, move.path)
        if move.after[0].encode() == SYMLINK:
            if b"\0" in content:
                raise GitError(f"{os.fsdecode(move.path)} is a symlink without a valid target.")
            path.symlink_to(os.fsdecode(content))
            continue
        with path.open("xb") as file:
            file.write(content)
        path.chmod(modes.file(move.path))


@dataclass(frozen=True, slots=True)
class Staged:
    """A snapshot's files as they will be on disk; ``pointers`` are LFS files without content."""

    moves: tuple[Move, ...]
    pointers: tuple[bytes, ...]


def write_snapshot(
    place: Scratch,
    moves: Iterable[Move],
    rules: Iterable[Move],
    stage: Path,
    conversion: Mapping[str, str],
    lfs: Sequence[Path],
    object_format: str,
) -> Staged:
    """Write the files of ``moves``, as git would check them out.

    ``rules`` are the attributes files of their tree, which affect the result. A file that is equal
    to the one on disk is dropped from the moves.
    """
    requested = list(moves)
    wanted = {move.path: move.after for move in requested if move.after is not None}
    git = replace(
        place.git,
        folder=stage,
        work_tree=stage,
        index=place.directory / "stage-index",
        config=place.git.config | dict(conversion),
    )
    links = not is_off(conversion, "core.symlinks")
    attributes = {move.path: move.after for move in rules if move.after is not None}
    pointers: list[bytes] = []
    for batch in _batches(wanted):
        # Only these paths: reading a whole tree of 50,000 files takes git twice as long.
        _write_index(git, _rules_for(batch, attributes) | batch)
        _check_out(git, stage, batch, links=links)
        pointers += _fill_pointers(git, stage, batch, lfs)
    atomic.sync_tree(stage)
    written = (_as_written(move, stage, object_format) for move in requested)
    differing = tuple(move for move in written if move.before != move.after)
    drop(requested, differing, stage)
    return Staged(differing, tuple(pointers))


def _batches(wanted: Entries) -> Iterator[Entries]:
    paths = iter(wanted)
    while batch := list(islice(paths, _AT_ONCE)):
        yield {path: wanted[path] for path in batch}


def _rules_for(paths: Iterable[bytes], attributes: Entries) -> Entries:
    """Return the attributes files of the folders above these paths."""
    if not attributes:
        return {}
    folders = {b"", *(parent + b"/" for path in paths for parent in parents(path))}
    names = (folder + b".gitattributes" for folder in folders)
    return {name: attributes[name] for name in names if name in attributes}


def _write_index(git: Git, entries: Entries) -> None:
    assert git.index
    git.index.unlink(missing_ok=True)  # of the previous batch
    rows = (f"{mode} {oid}\t".encode() + path + b"\0" for path, (mode, oid) in entries.items())
    git.run("update-index", "-z", "--index-info", stdin=b"".join(rows))


def _check_out(git: Git, stage: Path, wanted: Entries, *, links: bool) -> None:
    """Let git write each path of its index into its slot, with git's mode."""
    listed = b"".join(path + b"\0" for path in wanted)
    # Git chooses the file names, all in one folder, and prints (name, path).
    answer = git.run("checkout-index", "--temp", "-q", "-z", "--stdin", stdin=listed)
    new = Modes(umask())
    for row in answer.split(b"\0")[:-1]:
        name, _, path = row.partition(b"\t")
        written, place = stage / os.fsdecode(name), slot(stage, path)
        mode = wanted[path][0].encode()
        if mode == SYMLINK and links:
            place.symlink_to(os.fsdecode(written.read_bytes()))
            written.unlink()
            continue
        written.chmod(new.folder(path) if mode == EXECUTABLE else new.file(path))
        written.rename(place)


def drop(moves: Iterable[Move], wanted: Iterable[Move], stage: Path) -> None:
    """Delete staged files that are not wanted; recovery would take them for the user's."""
    for path in {move.path for move in moves if move.after} - {move.path for move in wanted}:
        slot(stage, path).unlink()


def _as_written(move: Move, stage: Path, object_format: str) -> Move:
    if move.after is None:
        return move
    there = on_disk.identity(stage, os.fsencode(slot(Path(), move.path)), object_format)
    assert there, "checkout-index wrote it"
    return replace(move, after=(there[0].decode(), there[1].decode()))


def _fill_pointers(
    git: Git, stage: Path, paths: Iterable[bytes], lfs: Sequence[Path]
) -> list[bytes]:
    """Replace LFS pointers by their content, if it is available locally."""
    small = {}
    for path in paths:
        pointer = Pointer.read(slot(stage, path))
        if pointer:
            small[path] = pointer
    if not small:
        return []
    listed = b"".join(path + b"\0" for path in small)
    answer = git.run("check-attr", "-z", "--stdin", "filter", stdin=listed).split(b"\0")
    filtered = [
        path for path, rule in zip(answer[::3], answer[2::3], strict=False) if rule == b"lfs"
    ]
    return [path for path in filtered if not _fill(stage, path, small[path], lfs)]


def _fill(stage: Path, path: bytes, pointer: Pointer, lfs: Sequence[Path]) -> bool:
    source = pointer.content(*lfs)
    if source is None:
        return False
    import hashlib  # late: it loads all of OpenSSL

    digest = hashlib.sha256()
    target = slot(stage, path)
    beside = target.with_name(f".{target.name}.lfs")
    with source.open("rb") as file, beside.open("xb") as out:
        while block := file.read(_BLOCK):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != pointer.oid:
        beside.unlink()
        return False
    beside.chmod(target.stat().st_mode & 0o7777)
    beside.replace(target)
    return True


def fill_state_pointers(
    moves: Iterable[Move],
    stage: Path,
    names: frozenset[bytes],
    lfs: Sequence[Path],
    object_format: str,
) -> Staged:
    """Replace pointers of a state by their content; a state has pointers if LFS has the content."""
    filled: list[Move] = []
    missing: list[bytes] = []
    for move in moves:
        pointer = (
            Pointer.read(slot(stage, move.path)) if move.after and move.path in names else None
        )
        if pointer and _fill(stage, move.path, pointer, lfs):
            filled.append(_as_written(move, stage, object_format))
        else:
            filled.append(move)
            missing += [move.path] if pointer else []
    return Staged(tuple(filled), tuple(missing))


def slot(folder: Path, path: bytes) -> Path:
    """Return the file for a path in a flat folder."""
    import hashlib  # late: it loads all of OpenSSL

    return folder / hashlib.sha256(path).hexdigest()


def free_slot(folder: Path, path: bytes) -> Path:
    """Return an unused file name for a path in a flat folder."""
    first = slot(folder, path)
    places = (first.with_suffix(f".{number}" if number else "") for number in itertools.count())
    return next(place for place in places if not os.path.lexists(place))


def path_of(source: Path, slots: Mapping[str, bytes]) -> bytes:
    """Return the path for a file in a flat folder; ``slots`` are the paths by slot.

    The file may be below a slot, if a folder was in a file's place. A name that is not a slot is
    returned unchanged.
    """
    first, *rest = source.parts
    path = slots.get(Path(first).stem, os.fsencode(first))
    return os.fsencode(Path(os.fsdecode(path), *rest))


def by_slot(paths: Iterable[bytes]) -> dict[str, bytes]:
    """Return paths by the names of their slots."""
    return {slot(Path(), path).name: path for path in paths}
