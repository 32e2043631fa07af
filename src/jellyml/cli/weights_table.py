"""The difference of weights on a terminal: a bar for each module, then its arrays in columns."""

from collections import Counter
from collections.abc import Iterator, Sequence

from jellyml.cli.weights_view import (
    NO_NAME,
    Module,
    by_module,
    counted,
    is_state,
    module_of,
    number,
    share,
    summary,
    what,
)
from jellyml.compare.weights import Difference, Kind, Weights
from jellyml.terminal import Terminal, safe

_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_COLOURS: dict[Kind, str] = {
    "added": _GREEN,
    "removed": _RED,
    "unreadable": _RED,
    "renamed": _YELLOW,
    "reshaped": _YELLOW,
    "retyped": _YELLOW,
    "changed": _YELLOW,
}
_BAR = 20  # characters
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"
_WIDEST = (36, 28)  # characters of name and of type and shape; what is longer stands out
_HEADS = ("by", "at most", "share")
_LEGEND = (
    "by: norm of the change, by the norm of what was; at most: largest change of one element;",
    "share: how many of the elements are others.",
)
Row = tuple[Kind, str, str, tuple[str, str, str], str]
"""Kind, name, type and shape, the three amounts, and what else is to be said."""


def lines(weights: Weights, terminal: Terminal) -> Iterator[str]:
    yield terminal.painted(summary(weights), _BOLD)
    modules = by_module(weights.differences)
    if len(modules) > 1 and any(module.change for module in modules):
        yield from _chart(modules, terminal)
        yield ""
    yield from _table(modules, terminal)
    state = [each for each in weights.differences if is_state(each.name)]
    if modules and state:
        yield f"{counted(state)} in the state of the optimizer (--json names each)."
    if any(each.amount for each in weights.differences):
        for line in _LEGEND:
            yield terminal.painted(line, _DIM)


def _chart(modules: Sequence[Module], terminal: Terminal) -> Iterator[str]:
    """All modules at a glance, before the arrays of each fill the screen."""
    most = max(module.change for module in modules)
    width = max(len(safe(module.name)) for module in modules)
    encoding = getattr(terminal.out, "encoding", None)
    for module in modules:
        name = terminal.painted(f"{safe(module.name):<{width}}", _BOLD)
        amount = number(module.change) if module.change else ""
        bar = _bar(module.change / most, encoding)
        yield f"{name} {bar} {amount:<7} {counted(module.differences)}"


def _bar(part: float, encoding: str | None) -> str:
    eighths = round(part * _BAR * 8)
    if part and not eighths:
        eighths = 1
    text = _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        text = "#" * -(-eighths // 8)
    return f"{text:<{_BAR}}"


def _table(modules: Sequence[Module], terminal: Terminal) -> Iterator[str]:
    rows = [(module.name, list(_rows(module.differences))) for module in modules]
    every = [row for _, members in rows for row in members]
    names = min(_WIDEST[0], max((len(row[1]) for row in every), default=0))
    whats = min(_WIDEST[1], max((len(row[2]) for row in every), default=0))
    if any(any(row[3]) for row in every):
        heads = " ".join(f"{head:>8}" for head in _HEADS)
        yield terminal.painted(f"{'':{2 + 11 + names + 1 + whats}} {heads}", _DIM)
    for module, members in rows:
        yield terminal.painted(safe(module) or NO_NAME, _BOLD)
        for kind, name, shape, amounts, more in members:
            begun = terminal.painted(f"{kind:<10}", _COLOURS[kind])
            told = " ".join(f"{amount:>8}" for amount in amounts) if any(amounts) else ""
            cells = f"{name:<{names}} {shape:<{whats}} {told} {more}"
            yield f"  {begun} {cells}".rstrip()


def _rows(differences: Sequence[Difference]) -> Iterator[Row]:
    """One for each array; those that moved with their module are one."""
    moved = Counter(_move(each) for each in differences)
    told = set()
    for each in differences:
        move = _move(each)
        if move is None or moved[move] < 2:
            short = each.name[len(module_of(each.name)) :].removeprefix(".") or each.name
            yield each.kind, safe(short) or NO_NAME, what(each), _amounts(each), _more(each)
        elif move not in told:
            told.add(move)
            yield each.kind, f"{moved[move]} arrays", f"(were in {safe(move[0])})", ("", "", ""), ""


def _amounts(each: Difference) -> tuple[str, str, str]:
    by = each.amount
    if by is None:
        return "", "", ""
    told = tuple("" if one is None else number(one) for one in (by.relative, by.largest))
    return told[0], told[1], share(by.share)


def _more(each: Difference) -> str:
    words = ["of the bytes"] if each.amount and each.amount.of == "bytes" else []
    if each.before and each.after and each.before.name != each.after.name:
        words.append(f"(was {safe(each.before.name)})")
    return " ".join([*words, safe(each.problem)])


def _move(each: Difference) -> tuple[str, str] | None:
    """From which module to which, of an array that is the same but for that."""
    if each.kind != "renamed" or each.amount or not each.before:
        return None
    return module_of(each.before.name), module_of(each.name)
