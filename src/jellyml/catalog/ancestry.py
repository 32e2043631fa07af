"""The history of commits, read from bundles, the user's repository and manifests."""

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

# Of one history, newest first. Older commits are not read.
_MOST_COMMITS = 100_000
# Bundles are unpacked only for commits that no other source has: the newest first, up to this
# number.
_MOST_BUNDLES = 64
_SECONDS = 30.0
_MOST_KNOWN = 400_000  # commits, after which no more bundles are unpacked
_MOST_BYTES = 64 << 20  # of git's output for one history
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
    """A commit; ``claimed`` if only a manifest states its parents, and no history has it."""

    parents: tuple[str, ...] = ()
    subject: str = ""
    claimed: bool = False


@dataclass
class Commits:
    """All known commits, and in ``of`` the commit of each checkpoint's code.

    ``here`` are the commits that the user's repository has too. ``unread`` counts the bundles
    that were not unpacked because of the limits.
    """

    known: dict[str, Commit] = field(default_factory=dict)
    of: list[str | None] = field(default_factory=list)
    here: frozenset[str] = frozenset()
    unread: int = 0
    problems: list[JellyError] = field(default_factory=list)


def commits_of(
    entries: Sequence[Entry], repository: Repository | None, max_unpacked: int = MAX_UNPACKED
) -> Commits:
    """Return the known history of the code of these checkpoints; ``of`` is in their order."""
    commits = Commits(of=[one.commit for one in entries])
    for one in entries:
        if one.commit not in commits.known:
            for text in one.manifest.commit_texts():
                commits.known.update(_from_text(text, {one.commit, one.base}))
    if repository:
        _add_from_repository(
            repository,
            commits,
            {name for one in entries for name in (one.commit, one.base) if name},
        )
    _add_from_bundles(entries, commits, max_unpacked)
    for number, one in enumerate(entries):
        commit = commits.of[number]
        for name in filter(None, (one.base, commit)):
            commits.known.setdefault(name, _claimed(name, commit, one.base))
    return commits


def _claimed(name: str, commit: str | None, base: str | None) -> Commit:
    """Return a commit that no history has: by its manifest, its parent is its base."""
    upon = (base,) if base and name == commit != base else ()
    return Commit(upon, claimed=True)


def _from_text(text: bytes, wanted: set[str | None]) -> Iterator[tuple[str, Commit]]:
    """Yield a commit whose history was cut, from its original text; the id is the digest of it."""
    head, _, message = text.partition(b"\n\n")
    parents = tuple(each.decode() for each in _PARENT.findall(head))
    subject = message.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8", "replace")[:_SUBJECT]
    for like in {len(each) for each in (*wanted, *parents) if each}:
        yield commit_id(text, "0" * like), Commit(parents, subject)


def _add_from_repository(repository: Repository, commits: Commits, names: set[str]) -> None:
    """Add those of these commits that the user's repository has, and all their ancestors."""
    words = ("cat-file", "--batch-check=%(objectname) %(objecttype)")
    try:
        rows = repository.git.run(*words, stdin=_lines(names)).decode("ascii", "replace")
        here = frozenset(row.split()[0] for row in rows.splitlines() if row.endswith(" commit"))
        if here:
            commits.known.update(_history(repository.git, here))
            commits.here = here
    except JellyError as problem:
        commits.problems.append(problem)


def _add_from_bundles(entries: Sequence[Entry], commits: Commits, max_unpacked: int) -> None:
    """Unpack bundles of commits that are in no known history, within the limits."""
    newest_first = sorted(
        range(len(entries)), key=lambda number: entries[number].created or "", reverse=True
    )
    deadline = time.monotonic() + _SECONDS
    tried: set[object] = set()
    for number in newest_first:
        one = entries[number]
        code = one.commit or one.path
        if code in tried or one.checkpoint.header.stands_for or _is_placed(one, commits):
            continue
        full = len(tried) >= _MOST_BUNDLES or len(commits.known) > _MOST_KNOWN
        if full or time.monotonic() > deadline:
            commits.unread += 1
            continue
        tried.add(code)
        try:
            with unpacked(one.checkpoint, max_unpacked) as incoming:
                commits.of[number] = incoming.commit
                git = replace(incoming.git, hold=incoming.limits.hold)
                commits.known.update(_history(git, [incoming.commit]))
        except JellyError as problem:
            commits.problems.append(problem)


def _is_placed(one: Entry, commits: Commits) -> bool:
    return any(name in commits.known for name in (one.commit, one.base))


def _history(git: Git, tips: Iterable[str]) -> Iterator[tuple[str, Commit]]:
    with git.start(*_LOG) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(_lines(tips))  # git reads all input before it prints
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
    """A commit of the reduced graph.

    ``parent`` is the nearest retained ancestor by first parents, ``between`` the number of commits
    between the two. ``others`` are further retained ancestors, by merges.
    """

    parent: str | None
    between: int = 0
    others: tuple[str, ...] = ()


def reduced(known: Mapping[str, Commit], marked: Collection[str]) -> dict[str, Node]:
    """Return the graph of the marked commits, and of those where their first-parent lines fork."""
    retained = {*marked, *_forks(known, marked)}
    up = {key: _up(known, key, retained) for key in retained}
    nearest = _Nearest(known, retained)
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


def _up(known: Mapping[str, Commit], start: str, retained: set[str]) -> tuple[str | None, int]:
    between = 0
    key = _first(known, start)
    while key is not None and key not in retained:
        between += 1
        key = _first(known, key)
    return key, between if key else 0


def _line(up: Mapping[str, tuple[str | None, int]], start: str) -> Iterator[str]:
    """Yield a node and its ancestors by first parents."""
    seen: set[str] = set()
    key: str | None = start
    while key is not None and key not in seen:
        seen.add(key)
        yield key
        key = up[key][0]


class _Nearest:
    """Find the nearest retained ancestors of a commit, through all parents.

    A depth-first walk with its own stack, since histories exceed the recursion limit. The result of
    a commit is the union of the results of its parents, so each commit is computed once.
    """

    def __init__(self, known: Mapping[str, Commit], retained: set[str]) -> None:
        self._known = known
        self._retained = retained
        self._results: dict[str, frozenset[str]] = {}

    def above(self, key: str) -> frozenset[str]:
        waiting = [key]
        expanded: set[str] = set()
        while waiting:
            one = waiting[-1]
            missing = (
                []
                if one in expanded
                else [p for p in self._unretained(one) if p not in self._results]
            )
            expanded.add(one)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if one not in self._results:
                self._results[one] = self._union(one)
        return self._results[key]

    def _parents(self, key: str) -> tuple[str, ...]:
        commit = self._known.get(key)
        return commit.parents if commit else ()

    def _unretained(self, key: str) -> list[str]:
        """Return the parents that are not retained: the search continues above them."""
        return [each for each in self._parents(key) if each not in self._retained]

    def _union(self, key: str) -> frozenset[str]:
        sets = [
            frozenset([each]) if each in self._retained else self._results.get(each, frozenset())
            for each in self._parents(key)
        ]
        if len(sets) == 1:
            return sets[0]
        return frozenset().union(*sets)
