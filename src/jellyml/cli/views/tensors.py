"""Show the difference of two sets of tensors: as lines, as a table, and as a plot."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from jellyml.cli.terminal import Terminal, safe
from jellyml.compare.tensors import Difference, Weights
from jellyml.errors import JellyError, UsageError
from jellyml.fs.output import Output, OutputKind

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.padding import Padding
    from rich.table import Table

NO_NAME = "(no name)"  # the only array of a file, such as .npy
_STATE = re.compile(r"(?:^|\.)optim\w*\.")

_STYLES = {
    "added": "green",
    "removed": "red",
    "unreadable": "red",
    "renamed": "yellow",
    "reshaped": "yellow",
    "retyped": "yellow",
    "changed": "yellow",
}
_BAR = 20  # characters
_LEGEND = (
    "by: norm of the change relative to the norm before; at most: largest change of one element; "
    "share: elements that differ."
)
Row = tuple[str, str, str, str, str, str, str]
"""Kind, name, type and shape, the three amounts, and a remark."""
_TITLES: Row = ("", "", "", "by", "at most", "share", "")
_AMOUNTS = range(3, 6)

_MOST = 200  # modules in a plot; with more, the bars are too thin to tell apart
_LONGEST_NAME = 60
_METADATA = {"png": {"Software": "JellyML"}, "svg": {"Creator": "JellyML"}}
_PNG, _PNG_SOFTWARE = b"\x89PNG\r\n\x1a\n", b"\0\0\0\x10tEXtSoftware\0JellyML"
_SVG_CREATOR = b"<dc:title>JellyML</dc:title>"


@dataclass(frozen=True, slots=True)
class Module:
    """A part of the model and its differences; ``change`` is how much all of it differs."""

    name: str
    differences: Sequence[Difference]
    change: float
    measure: str  # ``relative`` or ``share``


def lines(weights: Weights) -> Iterator[str]:
    """Yield a summary, then one line for each array, for a pipe."""
    yield summary(weights)
    yield from map(_line, weights.differences)


def by_module(differences: Sequence[Difference]) -> list[Module]:
    """Group differences by module, in the order in which the modules first appear.

    The change is a quotient of norms, or a share where no norms are known. The state of an
    optimizer changes by orders of magnitude more, so it is left out unless there is nothing else.
    """
    modules: dict[str, list[Difference]] = {}
    for each in [each for each in differences if not is_state(each.name)] or differences:
        modules.setdefault(module_of(each.name), []).append(each)
    has_norms = any(each.amount and each.amount.relative for each in differences)
    measure = "relative" if has_norms else "share"
    return [
        Module(name, members, _relative(members) if has_norms else _share_of(members), measure)
        for name, members in modules.items()
    ]


def module_of(name: str) -> str:
    """Return ``model.layers.12`` for ``model.layers.12.attn.q.weight``, else the parent name."""
    parts = name.split(".")
    for at, part in enumerate(parts[:-1]):
        if part.isdigit():
            return ".".join(parts[: at + 1])
    return ".".join(parts[:-1]) or name


def is_state(name: str) -> bool:
    """Return whether the name is that of an optimizer's state."""
    return _STATE.search(name) is not None


def _relative(differences: Sequence[Difference]) -> float:
    """Return the norm of all changes by the norm before, as if all arrays were one."""
    amounts = [each.amount for each in differences if each.amount]
    norms = [(each.relative or 0, each.norm or 0) for each in amounts]
    change = math.hypot(*(relative * norm for relative, norm in norms))
    return change / (math.hypot(*(norm for _, norm in norms)) or 1)


def _share_of(differences: Sequence[Difference]) -> float:
    return max((each.amount.share for each in differences if each.amount), default=0)


def summary(weights: Weights) -> str:
    if not weights.differences:
        arrays = "array" if weights.same == 1 else "arrays"
        return f"The weights are the same: {weights.same:,} {arrays}, to the bit."
    return f"Weights: {counted(weights.differences)}; {weights.same:,} the same."


def counted(differences: Sequence[Difference]) -> str:
    counts = Counter(each.kind for each in differences)
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _line(each: Difference) -> str:
    return f"{each.kind:<10} {safe(each.name) or NO_NAME} {words_of(each)}"


def words_of(each: Difference) -> str:
    words = []
    if each.before and each.after and each.before.name != each.after.name:
        words.append(f"(was {safe(each.before.name)})")
    words.append(what(each))
    if each.amount:
        by = each.amount
        words += [f"by {number(by.relative)}"] if by.relative is not None else []
        words += [f"at most {number(by.largest)}"] if by.largest is not None else []
        words.append(f"{share(by.share)} of the {by.of}")
    if each.problem:
        words.append(safe(each.problem))
    return " ".join(words)


def what(each: Difference) -> str:
    """Return type and shape, as ``old -> new`` where they differ."""
    arrays = [one for one in (each.before, each.after) if one]
    dtypes = dict.fromkeys(safe(one.dtype) for one in arrays)
    shapes = dict.fromkeys("x".join(map(str, one.shape)) or "scalar" for one in arrays)
    return f"{' -> '.join(dtypes)} {' -> '.join(shapes)}"


def number(value: float) -> str:
    return f"{value:.2g}"


def share(part: float) -> str:
    """Return a share in percent; rounding gives 100 % only for exactly 1, and never 0 %."""
    percent = 100 * part
    if part == 1:
        return "100 %"
    if percent < 0.01:
        return "< 0.01 %"
    return f"{min(percent, 99.99):.3g} %"


def drawing(weights: Weights, terminal: Terminal) -> "Iterator[RenderableType]":
    """Yield a summary, a chart of the modules, and a table of the arrays, for a terminal."""
    from rich.text import Text

    yield Text(summary(weights), style="bold")
    modules = by_module(weights.differences)
    if len(modules) > 1 and any(module.change for module in modules):
        yield _chart(modules, terminal)
        yield Text()
    if modules:
        yield _table(modules)
    state = [each for each in weights.differences if is_state(each.name)]
    if modules and state:
        yield Text(f"{counted(state)} in the state of the optimizer (--json names each).")
    if any(each.amount for each in weights.differences):
        yield Text(_LEGEND, style="dim")


def _chart(modules: Sequence[Module], terminal: Terminal) -> "Table":
    """Return one bar for each module, as an overview before the table of arrays."""
    from rich.table import Table
    from rich.text import Text

    most = max(module.change for module in modules)
    chart = Table.grid(padding=(0, 1))
    chart.add_column(overflow="fold")
    chart.add_column(width=_BAR)
    chart.add_column(min_width=7, no_wrap=True)
    chart.add_column(overflow="fold")
    for module in modules:
        chart.add_row(
            Text(safe(module.name), style="bold"),
            _bar(module.change / most, terminal),
            Text(number(module.change) if module.change else ""),
            Text(counted(module.differences)),
        )
    return chart


def _bar(part: float, terminal: Terminal) -> "RenderableType":
    """Return a bar on which the smallest change shows, in ASCII if the encoding has no blocks."""
    from rich import bar
    from rich.progress_bar import ProgressBar

    if terminal.shows("".join((bar.FULL_BLOCK, *bar.END_BLOCK_ELEMENTS))):
        steps = 8 * _BAR
        return bar.Bar(steps, 0, max(round(part * steps), bool(part)), width=_BAR)
    return ProgressBar(_BAR, max(round(part * _BAR), bool(part)), width=_BAR)


def _table(modules: Sequence[Module]) -> "Padding":
    """Return a table of the arrays, with the name of a module above those of the module."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    groups = [(module.name, list(_rows(module.differences))) for module in modules]
    columns = [at for at in range(1, 7) if any(row[at] for _, rows in groups for row in rows)]
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=10, no_wrap=True)
    for at in columns:
        if at in _AMOUNTS:
            table.add_column(justify="right", min_width=8, no_wrap=True)
        else:
            table.add_column(overflow="fold")
    table.add_row("", *(Text(_TITLES[at]) for at in columns), style="dim")
    for name, rows in groups:
        table.add_row("", Text(safe(name) or NO_NAME, style="bold"))
        for row in rows:
            label = Text(row[0], style=_STYLES[row[0]])
            table.add_row(label, *(Text(row[at]) for at in columns))
    return Padding(table, (0, 0, 0, 2))


def _rows(differences: Sequence[Difference]) -> Iterator[Row]:
    """Yield one row for each array, and one for all arrays that a module's rename moved."""
    moves = Counter(_move(each) for each in differences)
    reported = set()
    for each in differences:
        move = _move(each)
        if move is None or moves[move] < 2:
            short = each.name[len(module_of(each.name)) :].removeprefix(".") or each.name
            yield each.kind, safe(short) or NO_NAME, what(each), *_amounts(each), _more(each)
        elif move not in reported:
            reported.add(move)
            yield each.kind, f"{moves[move]} arrays", f"(were in {safe(move[0])})", "", "", "", ""


def _amounts(each: Difference) -> tuple[str, str, str]:
    by = each.amount
    if by is None:
        return "", "", ""
    texts = tuple("" if one is None else number(one) for one in (by.relative, by.largest))
    return texts[0], texts[1], share(by.share)


def _more(each: Difference) -> str:
    words = ["of the bytes"] if each.amount and each.amount.of == "bytes" else []
    if each.before and each.after and each.before.name != each.after.name:
        words.append(f"(was {safe(each.before.name)})")
    return " ".join([*words, safe(each.problem)])


def _move(each: Difference) -> tuple[str, str] | None:
    """Return the old and new module of an array whose only change is its name, else None."""
    if each.kind != "renamed" or each.amount or not each.before:
        return None
    return module_of(each.before.name), module_of(each.name)


def _is_own(start: bytes) -> bool:
    """Return whether JellyML drew a file. Only PNG and SVG record the program near the start."""
    if start.startswith(_PNG):
        return _PNG_SOFTWARE in start
    return start.startswith(b"<?xml") and _SVG_CREATOR in start


PICTURE = OutputKind("picture", _is_own)


def draw(weights: Weights, target: Output, title: str) -> None:
    """Write the plot, in the format of the file's suffix (PNG without one).

    Raises UsageError if nothing has changed or the format is unknown, and JellyError without
    matplotlib.
    """
    try:
        from matplotlib import figure
    except ImportError:
        raise JellyError("A picture needs matplotlib.", "pip install 'jellyml[plot]'") from None
    modules = [module for module in by_module(weights.differences) if module.change]
    if not modules:
        raise UsageError("No array has changed, so there is nothing to draw.")
    selection = sorted(modules, key=lambda module: -module.change)[:_MOST]
    selection = [module for module in modules if module in selection]
    plot = figure.Figure(figsize=(8, 1.5 + 0.22 * len(selection)), layout="constrained")
    axes = plot.subplots()
    positions = range(len(selection))
    axes.barh(positions, [module.change for module in selection], color="#c2185b")
    names = [safe(module.name)[-_LONGEST_NAME:] for module in selection]
    axes.set_yticks(positions, names, parse_math=False, fontsize=8)
    axes.set_title(safe(title), parse_math=False, fontsize=10)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    relative = selection[0].measure == "relative"
    axes.set_xlabel(
        "norm of the change relative to the norm before" if relative else "share that changed"
    )
    kind = target.path.suffix.removeprefix(".").lower() or "png"
    buffer = BytesIO()
    try:
        plot.savefig(buffer, format=kind, dpi=150, metadata=_METADATA.get(kind))
    except ValueError:
        formats = ", ".join(sorted(plot.canvas.get_supported_filetypes()))
        raise UsageError(
            f"A picture cannot be a .{safe(kind)} file.", f"one of: {formats}"
        ) from None
    target.write([buffer.getvalue()])
