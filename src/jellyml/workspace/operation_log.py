"""The operation log: one JSON file per operation, written before it begins and when it is done.

Idea: a file is replaced atomically, and removed only by ``history --prune``. The undo stack is
not stored, but derived from the entries. Invariant: every change on disk belongs to an entry
that was written before it.

An entry may come from an untrusted folder. So each path in it must be in the working tree, and
each place in JellyML's folder; otherwise the entry is unreadable.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, cast, get_args

from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.fs import atomic
from jellyml.fs.directory import is_inside

Verb = Literal["load", "undo", "redo", "restore", "forget"]
Status = Literal["begun", "done", "rolled back"]
_WORDS = {*get_args(Verb), *get_args(Status)}
BlobRef = tuple[str, str] | None  # (mode, blob id); None if the path is absent


@dataclass(frozen=True, slots=True)
class Move:
    """The change of one path, relative to the working tree's root."""

    path: bytes
    before: BlobRef
    after: BlobRef


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry. ``before`` and ``after`` are state numbers; the rest is needed for a rollback."""

    number: int
    verb: Verb
    status: Status = "begun"
    time: float = 0.0
    before: int = 0
    after: int = 0
    target: int = 0  # the operation that is undone, redone or forgotten (0: all of them)
    model: str | None = None
    commit: str | None = None
    made_repository: bool = False  # the load created the repository
    changed: int = 0
    moves: tuple[Move, ...] = ()
    aside: Mapping[str, str] = field(default_factory=dict)  # path -> where it is set aside
    facts: Mapping[str, object] = field(
        default_factory=dict
    )  # HEAD, index and operation files of the result
    created: Sequence[str] = ()  # tracked files written into folders that the state left in place

    @property
    def open(self) -> bool:
        return self.status == "begun"

    @property
    def known(self) -> set[str]:
        """Return blobs that the store has. A displaced file with another was changed since."""
        return {side[1] for move in self.moves for side in (move.before, move.after) if side}


_PAST = "past.json"
_NAME = re.compile(r"(\d{8,15})\.json")
_MANY = 64  # entries in files of their own

_FIELDS = tuple(one.name for one in fields(Operation))


class Journal:
    """The operations of one worktree in the folder ``ops``: recent ones in a file each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Cached: only the holder of the workspace lock writes here.
        self._read: dict[str, Operation] = {}
        self._folded: dict[int, Operation] | None = None

    def operations(self) -> list[Operation]:
        """Return all operations, oldest first. Raises UnsafeToContinue for an invalid entry."""
        if not self.folder.is_dir():
            return []
        entries = self._past | {one.number: one for one in self._each()}
        return [entries[number] for number in sorted(entries)]

    def _each(self) -> list[Operation]:
        """Return the operations with a file of their own, oldest first."""
        files = (path.name for path in self.folder.glob("[0-9]*.json"))
        names = sorted((name for name in files if _NAME.fullmatch(name)), key=_number)
        for name in names:
            if name not in self._read:
                self._read[name] = _read(self.folder / name, _number(name))[-1]
        return [self._read[name] for name in names]

    @property
    def _past(self) -> dict[int, Operation]:
        if self._folded is None:
            place = self.folder / _PAST
            old = _read(place) if place.exists() else []
            self._folded = {one.number: one for one in old}
        return self._folded

    def last(self) -> Operation | None:
        """Return the last completed operation that changed the workspace."""
        done = [one for one in self.operations() if one.status == "done" and one.before]
        return done[-1] if done else None

    def write(self, operation: Operation) -> None:
        """Write an entry durably: after this returns, it survives a power cut."""
        name = f"{operation.number:08}.json"
        self._read.pop(name, None)
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
            atomic.sync_folder(self.folder.parent)
        atomic.replace(self.folder / name, [_text(operation)])

    def next(self, verb: Verb) -> Operation:
        """Return a new entry with the next number; it is not written yet."""
        # Counts file names: set-aside files of a renamed, unreadable entry keep their number.
        named = (_NAME.match(path.name) for path in self.folder.glob("[0-9]*"))
        taken = {int(match[1]) for match in named if match} | self._past.keys()
        return Operation(max(taken, default=0) + 1, verb, time=time.time())

    def unfinished(self) -> Operation | None:
        """Return the operation that was begun and not completed."""
        return next((one for one in reversed(self.operations()) if one.open), None)

    def created_since(self, state: int) -> frozenset[bytes]:
        """Return the tracked files that were written, since a state, where it left files alone."""
        since = (one for one in self.operations() if one.status == "done" and one.before >= state)
        return frozenset(os.fsencode(path) for one in since for path in one.created)

    def is_done(self, number: int) -> bool:
        """Return whether an operation is done; from then on it is not rolled back."""
        return any(one.number == number and one.status == "done" for one in self.operations())

    def remove(self, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        left = {number: one for number, one in self._past.items() if number not in numbers}
        if len(left) < len(self._past):
            self._write_past(left)
        self._unlink(numbers)

    def fold(self) -> None:
        """Merge old entries into one file if there are many, because every command reads all."""
        old = [one for one in self._each()[:-1] if not one.open]
        if len(old) >= _MANY:
            self._write_past(self._past | {one.number: one for one in old})
            self._unlink([one.number for one in old])

    def _write_past(self, operations: Mapping[int, Operation]) -> None:
        if operations:
            records = b",\n".join(map(_text, operations.values()))
            atomic.replace(self.folder / _PAST, [b"[", records, b"]\n"])
        else:
            (self.folder / _PAST).unlink(missing_ok=True)
        self._folded = dict(operations)

    def _unlink(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._read.pop(f"{number:08}.json", None)
            (self.folder / f"{number:08}.json").unlink(missing_ok=True)
        atomic.sync_folder(self.folder)


@dataclass(frozen=True, slots=True)
class Stacks:
    """The operations that ``undo`` and ``redo`` take next, last first."""

    undo: tuple[Operation, ...]
    redo: tuple[Operation, ...]


def stacks(operations: Sequence[Operation]) -> Stacks:
    """Derive the stacks from the log: a load or restore clears redo, an undo adds to it."""
    undo: list[Operation] = []
    redo: list[Operation] = []
    for one in operations:
        if one.status != "done":
            continue
        if one.verb in ("load", "restore"):
            undo.append(one)
            redo.clear()
        elif one.verb == "undo":
            undo = [entry for entry in undo if entry.number != one.target]
            redo.append(one)
        elif one.verb == "redo":
            redo = [entry for entry in redo if entry.number != one.target]
            undo.append(one)
        elif one.verb == "forget":
            undo = [entry for entry in undo if one.target and entry.number != one.target]
            redo.clear()
    return Stacks(tuple(undo), tuple(redo))


def _number(name: str) -> int:
    return int(name.partition(".")[0])


def _text(operation: Operation) -> bytes:
    record = {name: getattr(operation, name) for name in _FIELDS}
    record["moves"] = [(os.fsdecode(one.path), one.before, one.after) for one in operation.moves]
    return json.dumps(record).encode()


def _read(path: Path, number: int | None = None) -> list[Operation]:
    """Read the entries of a file; with ``number``, exactly the entry with that number."""
    try:
        content = json.loads(atomic.read_plain(path))
        entries = [
            _operation(record) for record in (content if isinstance(content, list) else [content])
        ]
        if number is not None and [one.number for one in entries] != [number]:
            raise ValueError("its number is not that of its file")
        return entries
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnsafeToContinue(
            f"The journal entry {path} cannot be read ({error}), so what it did is unknown.",
            f"mv {pasteable(path)} {pasteable(path)}.unreadable - then look at your files:"
            " jellyml history names the states that you can restore",
        ) from None


def _operation(record: dict[str, object]) -> Operation:
    moves = tuple(_moves(record.pop("moves")))
    values = {name: value for name, value in record.items() if name in _FIELDS}
    operation = Operation(**values, moves=moves)  # type: ignore[arg-type]
    _check(operation)
    return operation


def _moves(rows: object) -> Iterator[Move]:
    for path, before, after in cast("list[tuple[str, list[str] | None, list[str] | None]]", rows):
        yield Move(os.fsencode(path), _side(before), _side(after))


def _side(value: list[str] | None) -> BlobRef:
    if value is None:
        return None
    mode, oid = value
    if not (_MODE.fullmatch(mode) and _OID.fullmatch(oid)):
        raise ValueError(f"{value} is not a mode and an object id")
    return mode, oid


_MODE = re.compile(r"100[0-7]{3}|120000")
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BRANCH = re.compile(r"jellyml-[0-9a-f]{8,64}")
_PLACE = re.compile(r"aside/\d{8,15}/\d{4,}(/.+)?", re.DOTALL)
_LATEST = 1 << 37  # seconds: the year 6325
_LARGEST = 1 << 53  # no counter reaches it; JSON permits longer numbers


def _check(operation: Operation) -> None:
    """Raise ValueError, TypeError or AttributeError for an entry that JellyML did not write."""
    one = operation
    numbers = (one.number, one.before, one.after, one.target, one.changed)
    places = {**one.aside, **_mapping(one, "returns")}
    modes = _mapping(one, "modes")
    head = one.facts.get("head") or [None, None]
    paths = [*(os.fsdecode(move.path) for move in one.moves), *places, *modes, *_folders(one)]
    paths += one.created
    wrong = (
        not all(type(number) is int and 0 <= number < _LARGEST for number in numbers)
        or not {str(one.verb), str(one.status)} <= _WORDS
        or not all(isinstance(text, (str, type(None))) for text in (one.model, one.commit))
        or not (one.commit is None or _OID.fullmatch(one.commit))
        or not 0 <= one.time < _LATEST
        or not all(is_inside(os.fsencode(path)) for path in paths)
        or not all(map(_is_place, places.values()))
        or not all(type(mode) is int and 0 <= mode <= 0o7777 for mode in modes.values())
        or not is_head(*cast("list[str | None]", head))
        or not _BRANCH.fullmatch(cast("str", one.facts.get("branch") or "jellyml-00000000"))
        or not all(isinstance(name, str) for name in _mapping(one, "operation"))
    )
    if wrong:
        raise ValueError("JellyML did not write it")


def _mapping(operation: Operation, fact: str) -> dict[str, object]:
    value = operation.facts.get(fact) or {}
    if not isinstance(value, dict):
        raise TypeError(f"{fact} is not a mapping")
    return value


def _folders(operation: Operation) -> list[str]:
    return cast("list[str]", operation.facts.get("folders") or [])


def _is_place(place: object) -> bool:
    """Return whether this is a place of set-aside files, relative to the private folder."""
    match = isinstance(place, str) and _PLACE.fullmatch(place)
    return bool(match) and is_inside(os.fsencode(cast("str", place)), holds_git=True)


def is_object_id(text: str) -> bool:
    return bool(_OID.fullmatch(text))


def is_head(ref: str | None, commit: str | None) -> bool:
    """Return whether these are a valid ref (or none) and commit (or none) for HEAD."""
    named = ref is None or (
        ref.startswith("refs/") and is_inside(os.fsencode(ref)) and not _NOT_IN_A_REF.search(ref)
    )
    return named and (commit is None or bool(_OID.fullmatch(commit)))


_NOT_IN_A_REF = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|/\.|\.lock$"
)  # git-check-ref-format(1)
