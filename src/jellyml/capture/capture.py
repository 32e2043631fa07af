"""The working tree as a filling: look, choose, build in a scratch directory, keep.

Nothing of the user's is written: not the index, not HEAD, not the object store, no file.
"""

import base64
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jellyml.capture import cache
from jellyml.capture.bundle import Budget, History, build
from jellyml.capture.cache import Cache, Kept, Turn
from jellyml.errors import JellyError
from jellyml.repo.repository import Repository, WrongGuess, guess
from jellyml.repo.worktrees import is_interrupted
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import CodeFacts, Credential, Data, LeftOut, Nested
from jellyml.working_tree.commit import Dates
from jellyml.working_tree.contents import Contents
from jellyml.working_tree.reader import facts_of, file_signatures, is_fresh, key, selected
from jellyml.working_tree.scan import Scan, scan
from jellyml.working_tree.scratch import ChangedMeanwhile, scratch
from jellyml.working_tree.selection import MAX_FILE_SIZE, MAX_UNTRACKED, Selection
from jellyml.working_tree.status import PlainIndexes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jellyml.working_tree.reader import Signature

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What a capture may hold. Sizes in bytes, ``timeout`` in seconds.

    ``history``: ``"auto"`` (all of it within 64 MB and 1.5 s of counting), ``"full"``,
    ``"none"``, or a number of commits below the snapshot.
    """

    history: History = "auto"
    max_file_size: int = MAX_FILE_SIZE
    max_untracked: int = MAX_UNTRACKED
    timeout: float = 60.0
    budget: Budget = field(default_factory=Budget)  # what "auto" may take
    model: Path | None = None  # a checkpoint that it is for, and no part of it


@dataclass(frozen=True, slots=True)
class Capture:
    """A filling and what is known about the code in it."""

    filling: bytes
    facts: CodeFacts
    interrupted: bool = False  # a load was, and the code may be half of it


Meanwhile = Callable[[Path], None]


def capture(
    folder: Path,
    options: Options,
    kept: Path | None,
    meanwhile: Meanwhile = lambda _: None,
) -> Capture:
    """Capture the working tree that holds ``folder``; ``kept`` is the cache's folder.

    ``meanwhile`` is called with the root while git, or another process, is at work. Raises
    NotARepository, GitError, TookTooLong, OSError. Changes nothing.
    """
    entered = cache.now()
    deadline = time.monotonic() + options.timeout
    store = Cache.open(kept) if kept else None
    place = guess(folder, deadline)
    if place:
        with suppress(WrongGuess):
            return _kept(_Look(place, options, store, meanwhile), entered)
    place = Repository.find(folder, deadline)
    return _kept(_Look(place, options, store, meanwhile), entered)


@dataclass(slots=True)
class _Look:
    """What a look is taken with; ``place`` may be a guess."""

    place: Repository
    options: Options
    store: Cache | None
    meanwhile: Meanwhile
    plain: PlainIndexes = field(default_factory=PlainIndexes)
    dates: Dates = field(default_factory=dict)
    expected: str | None = None  # the name of the last capture, most likely this one's too
    ahead: dict[str, Kept | None] = field(default_factory=dict)

    def scan(self) -> Scan:
        return scan(self.place, plain=self.plain, meanwhile=self._meanwhile)

    def idle(self) -> None:
        """What can be done while others are at work, once."""
        self.meanwhile(self.place.root)
        self.meanwhile = lambda _: None

    def _meanwhile(self, found: Repository) -> None:
        self.meanwhile(found.root)
        self.meanwhile = lambda _: None
        if self.store and self.expected and not self.ahead:
            self.ahead[self.expected] = self._get(self.expected)

    def seen_before(self, name: str) -> Kept | None:
        if name not in self.ahead:
            self.ahead[name] = self._get(name)
        return self.ahead[name]

    def _get(self, name: str) -> Kept | None:
        """A kept capture of that name; None for one that JellyML would not have written."""
        found = self.store.get(name) if self.store else None
        try:
            if found:
                _captured(found, CodeFacts(root=self.place.root))
        except (JellyError, KeyError, TypeError, ValueError, AttributeError):
            return None
        return found


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a look found, before anything is built of it; ``name`` is the capture's to be."""

    selection: Selection
    signatures: "list[Signature]"
    contents: Contents
    name: str

    @property
    def seen(self) -> CodeFacts:
        return facts_of(self.selection, self.contents.unreadable)


def _kept(look: _Look, entered: float) -> Capture:
    """The capture, kept for others where there is a place for it."""
    found = _in_turn(look, look.store, entered) if look.store else _again(look)
    return replace(found, interrupted=is_interrupted(look.place))


def _in_turn(look: _Look, store: Cache, entered: float) -> Capture:
    """Look when it is this process's turn; what is new in it one builds, and all take.

    The next look begins while that is built: who came during the first needs one of their own.
    """
    options = look.options
    limits = options.max_file_size, options.max_untracked, options.model
    asked = options.history, options.budget, *limits
    wait = min(cache.WAIT, options.timeout / 3)
    looked: _Looked | None = None
    root, words = look.place.root, repr(asked)
    with store.turn(root, words, entered=entered, wait=wait, idle=look.idle) as turn:
        new = _of_our_form(turn.result())
        if not new:
            looked = _looked_in(turn, look)
    name = str(new["key"]) if new else looked.name if looked else ""
    if name and look.seen_before(name) is None:
        with store.building(name, wait=wait):
            look.ahead.pop(name, None)  # somebody may have built it meanwhile
            if looked and (found := _tried(look, looked)):
                turn.add("dates", look.dates)
                return found
    elif looked and (found := _tried(look, looked)):
        return found
    hit = look.seen_before(name) if new else None
    if new and hit:
        return _rebuilt(hit, cast("dict[str, object]", new["seen"]), look.place)
    return _again(look)


def _looked_in(turn: Turn, look: _Look) -> _Looked | None:
    """This process's own look, left for those who wait; None where something changed meanwhile."""
    last = _of_our_form(turn.last())
    if last:
        look.plain.before = cast("dict[str, bool]", last["plain"])
        look.dates = cast("Dates", last["dates"])
        look.expected = str(last["key"])
    began = cache.now()
    try:
        looked = _looked(look)
    except ChangedMeanwhile:
        return None
    seen = _seen_as_json(looked.seen)
    base = looked.seen.base
    look.dates = {one: date for one, date in look.dates.items() if one == base}
    left: dict[str, object] = {
        "key": looked.name,
        "seen": seen,
        "plain": look.plain.now,
        "dates": look.dates,
    }
    turn.leave(began, left)
    return looked


def _of_our_form(left: dict[str, object] | None) -> dict[str, object] | None:
    """What another look left, or None: the file that it is in is read as any input is."""
    if not left:
        return None
    mappings = all(isinstance(left.get(name), dict) for name in ("seen", "plain", "dates"))
    return left if mappings and cache.KEY.fullmatch(str(left.get("key"))) else None


def _tried(look: _Look, looked: _Looked) -> Capture | None:
    try:
        return _taken(look, looked)
    except ChangedMeanwhile:
        return None


def _again(look: _Look) -> Capture:
    """Look until nothing changes meanwhile."""
    for left in reversed(range(_TRIES)):
        try:
            return _taken(look, _looked(look))
        except ChangedMeanwhile:
            if not left:
                raise
    raise AssertionError("the last try raises or returns")


def _looked(look: _Look) -> _Looked:
    selection = selected(look.scan(), look.options)
    signatures = file_signatures(selection)
    contents = Contents(selection)
    name = key(selection, contents, look.options.history, look.options.budget)
    return _Looked(selection, signatures, contents, name)


def _taken(look: _Look, looked: _Looked) -> Capture:
    """What was looked at: from the cache, or built, and kept if it stood still meanwhile."""
    selection, contents = looked.selection, looked.contents
    hit = look.seen_before(looked.name)
    if hit is None:
        asked = look.options.history, look.options.budget
        with scratch(selection.scan) as place:
            hit = build(place, selection, contents, *asked, look.dates)
        # Only what stood still while it was read may be found again under this name.
        if look.store and _stood_still(looked, *asked):
            look.store.put(looked.name, *hit)
    return _captured(hit, looked.seen)


def _stood_still(looked: _Looked, *asked: object) -> bool:
    selection = looked.selection
    still = not looked.contents.unreadable and file_signatures(selection) == looked.signatures
    if still and is_fresh(looked.signatures):
        return key(selection, Contents(selection), *asked) == looked.name
    return still


def _captured(hit: tuple[bytes, dict[str, object]], seen: CodeFacts) -> Capture:
    data, kept = hit
    texts = cast("Mapping[str, str]", kept["texts"])
    secrets = cast("list[dict[str, Any]]", kept["secrets"])
    commit = str(kept["commit"])
    return Capture(
        data,
        replace(
            seen,
            commit=commit,
            dirty=commit != seen.base,
            cut=str(kept["cut"]),
            raw=tuple(cast("list[str]", kept["raw"])),
            secrets=tuple(Credential(**row) for row in secrets),
            commit_texts={one: base64.b64decode(text) for one, text in texts.items()},
            bundle_sha256=serialization.parse_header(data[: serialization.HEADER_SIZE]).sha256,
        ),
    )


def _seen_as_json(facts: CodeFacts) -> dict[str, object]:
    wanted = ("base", "branch", "changed", "remotes", "left_out", "nested", "data")
    return {name: value for name, value in asdict(facts).items() if name in wanted}


def _rebuilt(
    hit: tuple[bytes, dict[str, object]], seen: dict[str, object], repository: Repository
) -> Capture:
    """Another process's look, read back."""
    rows = cast("dict[str, list[dict[str, object]]]", seen)
    facts = CodeFacts(
        root=repository.root,
        base=cast("str | None", seen["base"]),
        branch=cast("str | None", seen["branch"]),
        changed=cast("int", seen["changed"]),
        remotes=cast("dict[str, str]", seen["remotes"]),
        left_out=tuple(LeftOut(**row) for row in rows["left_out"]),  # type: ignore[arg-type]
        nested=tuple(Nested(**row) for row in rows["nested"]),  # type: ignore[arg-type]
        data=tuple(Data(**row) for row in rows.get("data", ())),  # type: ignore[arg-type]
    )
    return _captured(hit, facts)
