"""Build the tree of checkpoints from commits and recorded parents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jellyml.catalog.ancestry import Commit, Node, commits_of, reduced
from jellyml.catalog.entry import Entry
from jellyml.catalog.lanes import Row, rows
from jellyml.catalog.parents import Names, Parent
from jellyml.checkpoint.reader import MAX_UNPACKED
from jellyml.errors import JellyError
from jellyml.repo.repository import Repository


@dataclass(frozen=True, slots=True)
class Member:
    """A checkpoint. ``commit`` is None if it is not recorded and the code was not read."""

    number: int
    entry: Entry
    commit: str | None
    parents: tuple[Parent, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """The content of a row: a commit with its checkpoints, or a parent that was not found.

    ``members`` is empty for a commit that only links others. ``between`` counts the commits
    between this and its parent; ``others`` are keys of further parents.
    """

    row: Row
    members: tuple[Member, ...] = ()
    commit: str | None = None
    subject: str = ""
    named: str = ""
    parent: str | None = None
    between: int = 0
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """All members, in the given order; ``here`` are commits of the user's repository."""

    members: tuple[Member, ...]
    known: Mapping[str, Commit]
    here: frozenset[str] = frozenset()
    unread: int = 0
    problems: tuple[JellyError, ...] = field(default=())

    def by_code(self) -> list[Point]:
        """Return a row for each commit or base of a checkpoint, and for each fork between them."""
        by_commit: dict[str | None, list[Member]] = {}
        for member in self.members:
            by_commit.setdefault(member.commit, []).append(member)
        marked = {name for one in self.members for name in (one.commit, one.entry.base) if name}
        nodes = reduced(self.known, marked)
        dates = _dates(nodes, by_commit)
        order = sorted(nodes, key=lambda key: (dates[key], key))
        points = [
            Point(
                row,
                tuple(by_commit.get(row.key, ())),
                row.key,
                self.known[row.key].subject if row.key in self.known else "",
                parent=nodes[row.key].parent,
                between=nodes[row.key].between,
                others=nodes[row.key].others,
            )
            for row in rows({key: nodes[key].parent for key in order})
        ]
        if without := by_commit.get(None):
            points.append(Point(Row("", 0, None, False, False), tuple(without)))
        return points

    def by_parent(self) -> list[Point]:
        """Return a row for each checkpoint, and for each recorded parent that was not found.

        Checkpoints of one run with the same parents share a row, unless one is a parent itself.
        """
        taken = {each.number for one in self.members for each in one.parents}
        groups: dict[object, list[Member]] = {}
        for one in self.members:
            alone = one.number if one.number in taken else None
            groups.setdefault((one.entry.run, one.parents, alone), []).append(one)
        keys = {one.number: str(group[0].number) for group in groups.values() for one in group}
        above: dict[str, str | None] = {
            _key(each, keys): None
            for one in self.members
            for each in one.parents
            if each.number is None
        }
        for group in groups.values():
            mine = group[0].parents
            above[keys[group[0].number]] = _key(mine[0], keys) if mine else None
        by_key = {keys[group[0].number]: group for group in groups.values()}
        return [_by_parent(row, by_key.get(row.key, ()), keys) for row in rows(above)]

    def describe(self, parent: Parent) -> str:
        """Return a recorded parent as text."""
        if parent.number is None:
            return f"{parent.named} (none of these)"
        more = f" (or {parent.alike - 1} more)" if parent.alike > 1 else ""
        return f"{self.members[parent.number].entry.path}{more}"


def _by_parent(row: Row, members: Sequence[Member], keys: Mapping[int, str]) -> Point:
    if not members:
        return Point(row, named=row.key[1:])
    others = tuple(_key(each, keys) for each in members[0].parents[1:])
    return Point(row, tuple(members), members[0].commit, others=others)


def _key(parent: Parent, keys: Mapping[int, str]) -> str:
    return f"={parent.named}" if parent.number is None else keys[parent.number]


def _dates(
    nodes: Mapping[str, Node], by_commit: Mapping[str | None, Sequence[Member]]
) -> dict[str, str]:
    """Return for each node the earliest capture at or below it."""
    first = {
        key: min((one.entry.created or "" for one in by_commit.get(key, ())), default="~")
        for key in nodes
    }
    dates: dict[str, str] = {}
    for start in sorted(nodes, key=first.__getitem__):
        key: str | None = start
        while key is not None and key not in dates:
            dates[key] = first[start]
            key = nodes[key].parent
    return dates


def lineage(
    entries: Sequence[Entry], repository: Repository | None, max_unpacked: int = MAX_UNPACKED
) -> Lineage:
    """Return the tree of these checkpoints. ``problems`` are the errors of those not read."""
    commits = commits_of(entries, repository, max_unpacked)
    names = Names(entries, commits.of)
    members = tuple(
        Member(number, one, commits.of[number], names.parents(number))
        for number, one in enumerate(entries)
    )
    return Lineage(members, commits.known, commits.here, commits.unread, tuple(commits.problems))
