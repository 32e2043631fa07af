"""New files, written out beside the working tree: here a full disk shows, and nothing has moved.

A snapshot's files are written by git's own ``checkout-index`` in a throw-away directory, so
that end-of-line rules and modes come out right and no filter, hook or submodule is started.
A state's files are written as they were, to the byte.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jellyml import files
from jellyml.code.repository import Git
from jellyml.code.scan import SYMLINK, at
from jellyml.code.scratch import Scratch
from jellyml.workspace import disk
from jellyml.workspace.disk import Modes
from jellyml.workspace.journal import Move
from jellyml.workspace.lfs import Pointer

_BLOCK = 1 << 20


def write_blobs(git: Git, moves: Sequence[Move], stage: Path, modes: Modes) -> None:
    """Write each move's new content below ``stage``, with its full mode."""
    wanted = [move for move in moves if move.after is not None]
    ids = [move.after[1] for move in wanted if move.after]
    for move, content in zip(wanted, git.read_objects(ids), strict=True):
        assert move.after
        mode = move.after[0].encode()
        path = at(stage, move.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode == SYMLINK:
            path.symlink_to(os.fsdecode(content))
            continue
        with path.open("xb") as file:
            file.write(content)
        path.chmod(modes.file(move.path))


@dataclass(frozen=True, slots=True)
class Staged:
    """A snapshot's files as they will lie on disk; ``pointers`` are LFS files not to be had."""

    moves: tuple[Move, ...]
    pointers: tuple[bytes, ...]


def write_snapshot(
    place: Scratch,
    tree: str,
    moves: Iterable[Move],
    stage: Path,
    conversion: Mapping[str, str],
    lfs: Sequence[Path],
    object_format: str,
) -> Staged:
    """Write the files of ``moves`` from a snapshot's tree, as git would check them out.

    A file that comes out as it lies on disk already is dropped from the moves.
    """
    asked = list(moves)
    wanted = [move.path for move in asked if move.after is not None]
    git = replace(
        place.git,
        folder=stage,
        work_tree=stage,
        index=place.directory / "stage-index",
        config=place.git.config | dict(conversion),
    )
    git.run("read-tree", tree)
    listed = b"".join(path + b"\0" for path in wanted)
    if listed:
        git.run("checkout-index", "-f", "-q", "-z", "--stdin", stdin=listed)
    pointers = _fill_pointers(git, stage, wanted, lfs)
    files.sync_tree(stage)
    written = (_as_written(move, stage, object_format) for move in asked)
    return Staged(tuple(move for move in written if move.before != move.after), tuple(pointers))


def drop(moves: Iterable[Move], wanted: Iterable[Move], stage: Path) -> None:
    """Take out what is not wanted after all: left there, it would pass for bytes of the user's."""
    for path in {move.path for move in moves if move.after} - {move.path for move in wanted}:
        at(stage, path).unlink()


def _as_written(move: Move, stage: Path, object_format: str) -> Move:
    if move.after is None:
        return move
    there = disk.identity(stage, move.path, object_format)
    assert there, "checkout-index wrote it"
    return replace(move, after=(there[0].decode(), there[1].decode()))


def _fill_pointers(
    git: Git, stage: Path, paths: Iterable[bytes], lfs: Sequence[Path]
) -> list[bytes]:
    """Put the content of LFS files in place of their pointers, where it lies here."""
    small = {}
    for path in paths:
        pointer = Pointer.read(at(stage, path))
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
    target = at(stage, path)
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
    """A state holds an LFS file as its pointer where LFS has the content; put it back."""
    filled: list[Move] = []
    missing: list[bytes] = []
    for move in moves:
        pointer = Pointer.read(at(stage, move.path)) if move.after and move.path in names else None
        if pointer and _fill(stage, move.path, pointer, lfs):
            filled.append(_as_written(move, stage, object_format))
        else:
            filled.append(move)
            missing += [move.path] if pointer else []
    return Staged(tuple(filled), tuple(missing))
