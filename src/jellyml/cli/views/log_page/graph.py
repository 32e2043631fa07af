"""Draw a tree as SVG: one row a point, lanes from the left, a dot for each checkpoint."""

from collections.abc import Iterator, Sequence
from html import escape

from jellyml.catalog.graph import Member, Point
from jellyml.cli.terminal import shown
from jellyml.cli.views.catalog import about
from jellyml.secrets.search import masked_text

_ROW, _LANE, _DOT = 24, 18, 13  # pixels
_LEFT = 14
_CHARACTER = 7.4  # pixels, the widest
_COLOURS = 6
_MOST_LANES = 8  # lanes that labels keep clear of
_MOST_DOTS = 40  # in a row; the table lists all
_LONGEST = 110  # characters of a label
_LONGEST_PATH = 48


def draw(points: Sequence[Point], by: str) -> str:
    """Return an SVG element; its colours and fonts come from the page's style sheet."""
    numbers = {point.row.key: number for number, point in enumerate(points)}
    links = [_link(points, number) for number in range(len(points))]
    merges = [each for number in range(len(points)) for each in _merges(points, number, numbers)]
    nodes: list[str] = []
    width = 0.0
    column = _x(min(_MOST_LANES, max((point.row.lane for point in points), default=0))) + _LANE
    for number, point in enumerate(points):
        end, marks = _node(point, number)
        end = max(end, column)  # right of all lanes, so that no link crosses a label
        label, faint = _words(point, by)
        width = max(width, end + _CHARACTER * (len(label) + len(faint) + 2))
        nodes.append(
            f'<g>{marks}<text x="{end}" y="{_y(number)}">{_text(label)}'
            f'<tspan class="faint">  {_text(faint)}</tspan></text></g>'
        )
    height = _ROW * len(points) + 4
    return (
        f'<svg width="{width:.0f}" height="{height}" role="group" aria-label="Graph">'
        + "".join((*merges, *links, *nodes))
        + "</svg>"
    )


def _x(lane: int) -> int:
    return _LEFT + _LANE * lane


def _y(number: int) -> int:
    return _ROW * number + _ROW // 2 + 2


def _colour(lane: int) -> str:
    return f"s{lane % _COLOURS}"


def _link(points: Sequence[Point], number: int) -> str:
    """Return the link from a row to its parent. One that turns starts in the lane on its left."""
    row = points[number].row
    if row.parent is None:
        return ""
    x, y = _x(row.lane), _y(number)
    if not row.turns:
        return f'<path class="link {_colour(row.lane)}" d="M{x} {_y(row.parent)}V{y}"/>'
    start = _x(row.lane - 1)
    path = f"M{start} {y - _ROW // 2 - 2}Q{start} {y} {x} {y}"
    return f'<path class="link {_colour(row.lane)}" d="{path}"/>'


def _merges(points: Sequence[Point], number: int, numbers: dict[str, int]) -> Iterator[str]:
    x, y = _x(points[number].row.lane), _y(number)
    for key in points[number].others:
        if key in numbers:
            start, top = _x(points[numbers[key]].row.lane), _y(numbers[key])
            bend = max(start, x) + _LANE // 2
            yield f'<path class="merge" d="M{start} {top}C{bend} {top} {bend} {y} {x} {y}"/>'


def _node(point: Point, number: int) -> tuple[int, str]:
    """Return where the label begins, and the marks: one that can be clicked per checkpoint."""
    x, y = _x(point.row.lane), _y(number)
    colour = _colour(point.row.lane)
    members = point.members[:_MOST_DOTS]
    if len(members) < 2:
        inner = "".join(_choice(each, x, y, 6, colour) for each in members)
        return x + 14, inner or f'<circle class="node {colour}" cx="{x}" cy="{y}" r="4"/>'
    marks = [f'<circle class="node {colour}" cx="{x}" cy="{y}" r="6"/>']
    for at, member in enumerate(members):
        marks.append(_choice(member, x + 16 + _DOT * at, y, 4, colour))
    return x + 16 + _DOT * len(members), "".join(marks)


def _choice(member: Member, x: int, y: int, radius: int, colour: str) -> str:
    path = _text(str(member.entry.path))
    return (
        f'<circle class="node full {colour}" cx="{x}" cy="{y}" r="{radius}"'
        f' data-i="{member.number}" tabindex="0" role="button" aria-label="{path}">'
        f"<title>{path}</title></circle>"
    )


def _words(point: Point, by: str) -> tuple[str, str]:
    """Return the label and the faint text after it."""
    files = _files(point.members)
    if not files and by == "parent":
        return masked_text(point.named)[:_LONGEST], "none of these"
    if by == "parent":
        return files, "  ".join(about(point))[:_LONGEST]
    commit = point.commit[:8] if point.commit else "no commit known"
    label = f"{commit}  {files}".rstrip()
    return label, "  ".join(about(point))[: max(0, _LONGEST - len(label))]


def _files(members: Sequence[Member]) -> str:
    if not members:
        return ""
    path = masked_text(str(members[-1].entry.path))  # before it is cut
    short = path if len(path) <= _LONGEST_PATH else "…" + path[-_LONGEST_PATH:]
    return short if len(members) == 1 else f"{short} and {len(members) - 1} more"


def _text(text: str) -> str:
    return escape(shown(text))
