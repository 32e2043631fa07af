"""Which commit descends from which, by bundles, the user's repository and records."""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jellyml.capture.bundle import commit_id
from jellyml.catalog.entry import Entry
from jellyml.checkpoint.reader import MAX_UNPACKED, unpacked
from jellyml.errors import JellyError
from jellyml.quarantine.tree_check import takes_too_much
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository

# Of one history, newest first: what lies beyond is not asked for.
_MOST_COMMITS = 100_000
# Bundles are unpacked only for what nothing else tells, the newest first; and no more of them.
_MOST_BUNDLES = 64
_SECONDS = 30.0
_MOST_KNOWN = 400_000  # commits; then no more bundles are unpacked
_MOST_BYTES = 64 << 20  # that git may print of one history
_MOST_PARENTS = 16
_SUBJECT = 72  # characters
_LONGEST_ROW = 1 << 16
_LOG = (
    "rev-list",
    "--no-commit-header",
    f"--max-count={_MOST_COMMITS}",
    "--stdin",
    f"--format=%H%x00%P%x00%<({_SUBJECT},trunc)%s",
)
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PARENT = re.compile(rb"^parent ([0-9a-f]{40,64})$", re.MULTILINE)

_MOST_OTHERS = 8


@dataclass(frozen=True, slots=True)
class Commit:
    """``claimed``: a checkpoint's record says what it was made upon, and no history shows it."""

    parents: tuple[str, ...] = ()
    subject: str = ""
    claimed: bool = False


@dataclass
class Commits:
    """All that is known, and which commit the code of each checkpoint is.

    ``here`` are those that the user's repository has as well. ``unread`` is how many bundles
    were left as they are, since there were too many.
    """

    known: dict[str, Commit] = field(default_factory=dict)
    of: list[str | None] = field(default_factory=list)
    here: frozenset[str] = frozenset()
    unread: int = 0
    problems: list[JellyError] = field(default_factory=list)


def commits_of(
    found: Sequence[Entry], repository: Repository | None, max_unpacked: int = MAX_UNPACKED
) -> Commits:
    """What is known of the history of the code of these, in their order."""
    made = Commits(of=[one.commit for one in found])
    for one in found:
        if one.commit not in made.known:
            for text in one.manifest.commit_texts():
                made.known.update(_from_text(text, {one.commit, one.base}))
    if repository:
        _ask(repository, made, {name for one in found for name in (one.commit, one.base) if name})
    _unpack(found, made, max_unpacked)
    for number, one in enumerate(found):
        commit = made.of[number]
        for name in filter(None, (one.base, commit)):
            made.known.setdefault(name, _claimed(name, commit, one.base))
    return made


def _claimed(name: str, commit: str | None, base: str | None) -> Commit:
    """A commit that no history shows: it was made upon its base, the record says."""
    upon = (base,) if base and name == commit != base else ()
    return Commit(upon, claimed=True)


def _from_text(text: bytes, wanted: set[str | None]) -> Iterator[tuple[str, Commit]]:
    """A commit whose history was cut off, by its true text, whose digest is its id."""
    head, _, message = text.partition(b"\n\n")
    parents = tuple(each.decode() for each in _PARENT.findall(head))
    subject = message.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8", "replace")[:_SUBJECT]
    for like in {len(each) for each in (*wanted, *parents) if each}:
        yield commit_id(text, "0" * like), Commit(parents, subject)


def _ask(repository: Repository, made: Commits, names: set[str]) -> None:
    """What the user's repository has of these commits, and all below them."""
    words = ("cat-file", "--batch-check=%(objectname) %(objecttype)")
    try:
        rows = repository.git.run(*words, stdin=_lines(names)).decode("ascii", "replace")
        here = frozenset(row.split()[0] for row in rows.splitlines() if row.endswith(" commit"))
        if here:
            made.known.update(_history(repository.git, here))
            made.here = here
    except JellyError as problem:
        made.problems.append(problem)


def _unpack(found: Sequence[Entry], made: Commits, max_unpacked: int) -> None:
    """Read bundles, as long as there is one whose place no history shows."""
    newest_first = sorted(
        range(len(found)), key=lambda number: found[number].created or "", reverse=True
    )
    until = time.monotonic() + _SECONDS
    tried: set[object] = set()
    for number in newest_first:
        one = found[number]
        code = one.commit or one.path
        if code in tried or one.checkpoint.header.stands_for or _is_placed(one, made):
            continue
        full = len(tried) >= _MOST_BUNDLES or len(made.known) > _MOST_KNOWN
        if full or time.monotonic() > until:
            made.unread += 1
            continue
        tried.add(code)
        try:
            with unpacked(one.checkpoint, max_unpacked) as incoming:
                made.of[number] = incoming.commit
                git = replace(incoming.git, hold=incoming.limits.hold)
                made.known.update(_history(git, [incoming.commit]))
        except JellyError as problem:
            made.problems.append(problem)


def _is_placed(one: Entry, made: Commits) -> bool:
    return any(name in made.known for name in (one.commit, one.base))


def _history(git: Git, tips: Iterable[str]) -> Iterator[tuple[str, Commit]]:
    with git.start(*_LOG) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(_lines(tips))  # all is read before anything is answered
        process.stdin.close()
        room = _MOST_BYTES
        while row := process.stdout.readline(_LONGEST_ROW):
            yield from _read(row)
            room -= len(row)
            if room < 0:
                return
        if process.wait():
            raise takes_too_much()


def _read(row: bytes) -> Iterator[tuple[str, Commit]]:
    oid, parents, subject = (*row.decode("utf-8", "replace").split("\0"), "", "")[:3]
    if _ID.fullmatch(oid):
        above = tuple(each for each in parents.split() if _ID.fullmatch(each))
        yield oid, Commit(above[:_MOST_PARENTS], subject.strip())


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


@dataclass(frozen=True, slots=True)
class Node:
    """``parent`` is the nearest that is kept, by first parents, ``between`` how many commits lie
    between the two; ``others`` are what it descends from besides, by merges.
    """

    parent: str | None
    between: int = 0
    others: tuple[str, ...] = ()


def reduced(known: Mapping[str, Commit], marked: Collection[str]) -> dict[str, Node]:
    """The marked commits and those at which their lines of first parents part, linked."""
    kept = {*marked, *_forks(known, marked)}
    up = {key: _up(known, key, kept) for key in kept}
    nearest = _Nearest(known, kept)
    nodes = {}
    for key, (parent, between) in up.items():
        others = nearest.above(key) - {parent}
        if others:
            others -= set(_line(up, key))
        nodes[key] = Node(parent, between, tuple(sorted(others)[:_MOST_OTHERS]))
    return nodes


def _first(known: Mapping[str, Commit], key: str) -> str | None:
    commit = known.get(key)
    return commit.parents[0] if commit and commit.parents else None


def _forks(known: Mapping[str, Commit], marked: Collection[str]) -> Iterator[str]:
    seen: set[str] = set()
    for start in marked:
        key: str | None = start
        while key is not None and key in known and key not in seen:
            seen.add(key)
            key = _first(known, key)
        if key in seen and key != start:
            assert key is not None
            yield key


def _up(known: Mapping[str, Commit], start: str, kept: set[str]) -> tuple[str | None, int]:
    between = 0
    key = _first(known, start)
    while key is not None and key not in kept:
        between += 1
        key = _first(known, key)
    return key, between if key else 0


def _line(up: Mapping[str, tuple[str | None, int]], start: str) -> Iterator[str]:
    """A node and all that it descends from by first parents."""
    seen: set[str] = set()
    key: str | None = start
    while key is not None and key not in seen:
        seen.add(key)
        yield key
        key = up[key][0]


class _Nearest:
    """The nearest kept commits above one, through every parent."""

    def __init__(self, known: Mapping[str, Commit], kept: set[str]) -> None:
        self._known = known
        self._kept = kept
        self._found: dict[str, frozenset[str]] = {}

    def above(self, key: str) -> frozenset[str]:
        waiting = [key]
        began: set[str] = set()
        while waiting:
            one = waiting[-1]
            missing = [] if one in began else [p for p in self._passed(one) if p not in self._found]
            began.add(one)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if one not in self._found:
                self._found[one] = self._joined(one)
        return self._found[key]

    def _parents(self, key: str) -> tuple[str, ...]:
        commit = self._known.get(key)
        return commit.parents if commit else ()

    def _passed(self, key: str) -> list[str]:
        """Parents beyond which the nearest is to be looked for."""
        return [each for each in self._parents(key) if each not in self._kept]

    def _joined(self, key: str) -> frozenset[str]:
        sets = [
            frozenset([each]) if each in self._kept else self._found.get(each, frozenset())
            for each in self._parents(key)
        ]
        if len(sets) == 1:
            return sets[0]
        return frozenset().union(*sets)
