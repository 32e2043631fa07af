"""Checkpoints and how they come from one another, put together."""

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
    """A checkpoint. ``commit`` is None where no record says it and the code was not read."""

    number: int
    listed: Entry
    commit: str | None
    parents: tuple[Parent, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """What stands in a row: a commit, or checkpoints of the same, or a name that is none of these.

    ``members`` are empty where a commit is there for others' sake. ``between`` counts the commits
    that lie between this and its parent; ``others`` are keys of further parents.
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
    """All members, in the order given; ``here`` are commits that the user has as well."""

    members: tuple[Member, ...]
    known: Mapping[str, Commit]
    here: frozenset[str] = frozenset()
    unread: int = 0
    problems: tuple[JellyError, ...] = field(default=())

    def by_code(self) -> list[Point]:
        """A row for each commit that checkpoints hold or were made upon, or where lines part."""
        held: dict[str | None, list[Member]] = {}
        for member in self.members:
            held.setdefault(member.commit, []).append(member)
        marked = {name for one in self.members for name in (one.commit, one.listed.base) if name}
        nodes = reduced(self.known, marked)
        dates = _dates(nodes, held)
        order = sorted(nodes, key=lambda key: (dates[key], key))
        points = [
            Point(
                row,
                tuple(held.get(row.key, ())),
                row.key,
                self.known[row.key].subject if row.key in self.known else "",
                parent=nodes[row.key].parent,
                between=nodes[row.key].between,
                others=nodes[row.key].others,
            )
            for row in rows({key: nodes[key].parent for key in order})
        ]
        if without := held.get(None):
            points.append(Point(Row("", 0, None, False, False), tuple(without)))
        return points

    def by_parent(self) -> list[Point]:
        """A row for each checkpoint, and for each recorded parent that is none of them.

        What one run saved of the same parents stands in one row, but for what is a parent itself.
        """
        taken = {each.number for one in self.members for each in one.parents}
        rooms: dict[object, list[Member]] = {}
        for one in self.members:
            alone = one.number if one.number in taken else None
            rooms.setdefault((one.listed.run, one.parents, alone), []).append(one)
        keys = {one.number: str(room[0].number) for room in rooms.values() for one in room}
        above: dict[str, str | None] = {
            _key(each, keys): None
            for one in self.members
            for each in one.parents
            if each.number is None
        }
        for room in rooms.values():
            mine = room[0].parents
            above[keys[room[0].number]] = _key(mine[0], keys) if mine else None
        held = {keys[room[0].number]: room for room in rooms.values()}
        return [_by_parent(row, held.get(row.key, ()), keys) for row in rows(above)]

    def called(self, parent: Parent) -> str:
        """What a recorded parent is, in words."""
        if parent.number is None:
            return f"{parent.named} (none of these)"
        more = f" (or {parent.alike - 1} more)" if parent.alike > 1 else ""
        return f"{self.members[parent.number].listed.path}{more}"


def _by_parent(row: Row, members: Sequence[Member], keys: Mapping[int, str]) -> Point:
    if not members:
        return Point(row, named=row.key[1:])
    others = tuple(_key(each, keys) for each in members[0].parents[1:])
    return Point(row, tuple(members), members[0].commit, others=others)


def _key(parent: Parent, keys: Mapping[int, str]) -> str:
    return f"={parent.named}" if parent.number is None else keys[parent.number]


def _dates(
    nodes: Mapping[str, Node], held: Mapping[str | None, Sequence[Member]]
) -> dict[str, str]:
    """When the first was captured of all that stands at or below a node."""
    first = {
        key: min((one.listed.created or "" for one in held.get(key, ())), default="~")
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
    found: Sequence[Entry], repository: Repository | None, max_unpacked: int = MAX_UNPACKED
) -> Lineage:
    """How these come from one another; what cannot be read is among the problems."""
    commits = commits_of(found, repository, max_unpacked)
    names = Names(found, commits.of)
    members = tuple(
        Member(number, one, commits.of[number], names.parents(number))
        for number, one in enumerate(found)
    )
    return Lineage(members, commits.known, commits.here, commits.unread, tuple(commits.problems))
