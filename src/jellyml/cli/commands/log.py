"""``jellyml log``: show the tree of checkpoints, by their commits or by recorded parents."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from jellyml.catalog.differences import Differences, NeighbourComparison
from jellyml.catalog.graph import Lineage, Member, Point, lineage
from jellyml.catalog.lanes import Row
from jellyml.cli.parser import (
    Parser,
    add_code_dir,
    add_force,
    add_json,
    add_max_unpacked,
    add_paths,
)
from jellyml.cli.terminal import Terminal, shown
from jellyml.cli.views.catalog import about, read_checkpoints, record, show_problems, when
from jellyml.cli.views.log_page import PAGE, page
from jellyml.cli.views.log_page.data import data_of
from jellyml.errors import JellyError
from jellyml.fs.output import Output
from jellyml.fs.paths import path_of
from jellyml.repo.repository import Repository

DESCRIPTION = """
Show how checkpoints descend from each other: as a tree of the commits of their
code, oldest first, with uncommitted changes; or as a tree of the parents that they
record (create_snapshot(notes={"parent": "base.pth"})). The history of the commits
is read from the code in the checkpoints, and from your repository if you are in
one. Nothing is loaded or run.

examples:
  jellyml log runs/
  jellyml log --by parent runs/    which checkpoint was trained from which
  jellyml log --html page.html     the graph, a table, and the differences
  jellyml log --json runs/         everything, for programs
"""


def add_arguments(parser: Parser) -> None:
    add_paths(parser)
    parser.add_argument(
        "--by",
        choices=("code", "parent"),
        default="code",
        help="draw the tree of commits or of recorded parents (default: code)",
    )
    add_json(parser)
    parser.add_argument("--html", type=path_of, metavar="FILE", help="write an HTML page")
    add_force(parser)
    add_code_dir(parser)
    add_max_unpacked(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    target = _target(args.html, force=args.force) if args.html else None
    listing = read_checkpoints(args.paths, terminal)
    oldest_first = sorted(listing.listed, key=lambda one: one.created or "")
    repository = _repository(args.code_dir)
    tree = lineage(oldest_first, repository, args.max_unpacked)
    if target:
        differences = _compared(NeighbourComparison(tree, repository, args.max_unpacked), terminal)
        text = page(tree, data_of(tree, differences))
        target.write(each.encode() for each in text)
        report = terminal.note if args.json else terminal.done
        report(f"Wrote {args.html}. Open it in a browser.")
    if args.json:
        terminal.json(as_json(tree))
    elif not target:
        points = tree.by_code() if args.by == "code" else tree.by_parent()
        for line in _Drawing(tree, args.by, terminal).lines(points):
            terminal.result(line)
    listing.wrong += tree.problems
    show_problems(listing, terminal)
    if tree.unread:
        terminal.note(
            f"The code of {tree.unread} checkpoints was not read, since there are so many: which "
            "commits it descends from is not shown. In its repository all of it is: -c DIR"
        )
    return int(bool(listing.wrong))


def _compared(comparison: NeighbourComparison, terminal: Terminal) -> Differences:
    for _ in terminal.progress(iter(comparison), len(comparison), "Comparing"):
        pass
    if comparison.differences.late:
        terminal.note(
            "Not all neighbours are compared in the page: it would have taken too long. "
            "jellyml diff A B compares any two."
        )
    return comparison.differences


def _target(path: Path, *, force: bool) -> Output:
    """Return the file of the page. Raises UsageError, before any comparison, if it is refused."""
    target = Output(path, PAGE, "jellyml log --html FILE", force)
    target.check()
    return target


def _repository(folder: Path) -> Repository | None:
    """Return the user's repository, or None if git opens none: the tree needs no repository."""
    try:
        return Repository.find(folder)
    except JellyError:
        return None


_DRAWN = {"full": "●", "bare": "○", "line": "│", "turn": "├─"}
_IN_ASCII = {"full": "*", "bare": "o", "line": "|", "turn": "|-"}


class _Drawing:
    """The tree as lines of text, in ASCII if the encoding of the stream has no line characters."""

    def __init__(self, tree: Lineage, by: str, terminal: Terminal) -> None:
        self._tree = tree
        self._by = by
        self._terminal = terminal
        self._grew = False  # whether the previous tree has more than one row
        self._marks = _DRAWN if terminal.shows("".join(_DRAWN.values())) else _IN_ASCII

    def lines(self, points: list[Point]) -> Iterator[str]:
        for number, point in enumerate(points):
            if number and point.row.parent is None and (point.row.goes_on or self._grew):
                yield ""
            self._grew = point.row.goes_on if point.row.parent is None else True
            head, rest = self._by_code(point) if self._by == "code" else self._by_parent(point)
            painted = self._terminal.painted(shown(head), "1")
            yield f"{self._left(point.row)}{self._mark(point)} {painted}{shown(rest)}"
            if self._by == "code" or len(point.members) > 1:
                for member in point.members:
                    yield f"{self._below(point.row)}  {shown(self._named(member))}"

    def _left(self, row: Row) -> str:
        line, turn = self._marks["line"], self._marks["turn"]
        if not row.lane:
            return ""
        return f"{line} " * (row.lane - 1) + (turn if row.turns else f"{line} ")

    def _below(self, row: Row) -> str:
        line = self._marks["line"]
        return f"{line} " * row.lane + (line if row.goes_on else " ")

    def _mark(self, point: Point) -> str:
        return self._marks["full" if point.members else "bare"]

    def _by_code(self, point: Point) -> tuple[str, str]:
        commit = point.commit[:8] if point.commit else "no commit known"
        return commit, "".join(f"  {each}" for each in about(point))

    def _by_parent(self, point: Point) -> tuple[str, str]:
        if not point.members:
            return point.named, "  (none of these)"
        one = point.members[0].entry
        others = point.members[0].parents[1:]
        more = "".join(f"  also from {self._tree.describe(each)}" for each in others)
        count = len(point.members)
        head = str(one.path) if count == 1 else f"{count} checkpoints"
        return head, f"  {when(one)}  {(point.commit or '-')[:8]}{more}"

    def _named(self, member: Member) -> str:
        if self._by == "parent":
            return str(member.entry.path)
        parents = "".join(f"  <- {self._tree.describe(each)}" for each in member.parents)
        return f"{member.entry.path}{parents}"


def as_json(tree: Lineage) -> dict[str, object]:
    return {
        "checkpoints": [_member(tree, one) for one in tree.members],
        "commits": [_commit(tree, point) for point in tree.by_code() if point.commit],
    }


def _member(tree: Lineage, one: Member) -> dict[str, object]:
    parents = [
        {
            "named": each.named,
            "path": None if each.number is None else str(tree.members[each.number].entry.path),
            "alike": each.alike,
        }
        for each in one.parents
    ]
    more = {"commit": one.commit, "bundle_sha256": one.entry.bundle, "parents": parents}
    return record(one.entry) | more


def _commit(tree: Lineage, point: Point) -> dict[str, object]:
    commit = tree.known.get(point.row.key)
    return {
        "commit": point.commit,
        "parent": point.parent,
        "between": point.between,
        "others": list(point.others),
        "subject": point.subject,
        "claimed": commit is None or commit.claimed,
        "checkpoints": [str(member.entry.path) for member in point.members],
    }
