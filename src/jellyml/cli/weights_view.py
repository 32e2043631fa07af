"""The difference of weights as text: by module, with bars, on a terminal; a line each in a pipe."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jellyml.compare.weights import Difference, Kind, Seen, Weights
from jellyml.terminal import Terminal, is_terminal, safe

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
_STATE = re.compile(r"(?:^|\.)optim\w*\.")
_BAR = 20  # characters
_LEGEND = "by: norm of the change, by the norm of what was; at most: largest change of an element"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_FULL = "█"


@dataclass(frozen=True, slots=True)
class Module:
    """A part of the model: its name, and what in it differs; ``change``: by how much all of it."""

    name: str
    differences: Sequence[Difference]
    change: float
    measure: str  # ``relative`` or ``share``


def lines(weights: Weights, terminal: Terminal) -> Iterator[str]:
    yield terminal.painted(_summary(weights.differences, weights.same), _BOLD)
    if not is_terminal(terminal.out):
        yield from map(_line, weights.differences)
        return
    modules = by_module(weights.differences)
    most = max((module.change for module in modules), default=0)
    width = max((len(safe(module.name)) for module in modules), default=0)
    for module in modules:
        bar = _bar(module.change / most if most else 0, getattr(terminal.out, "encoding", None))
        amount = _number(module.change) if module.change else ""
        yield terminal.painted(f"{safe(module.name):<{width}}", _BOLD) + f" {bar} {amount}".rstrip()
        told = list(_together(module.differences))
        names = max(len(name) for _, name, _ in told)
        for kind, name, rest in told:
            yield f"  {terminal.painted(f'{kind:<10}', _COLOURS[kind])} {name:<{names}} {rest}"
    state = [each for each in weights.differences if is_state(each.name)]
    if modules and state:
        yield f"{_counted(state)} in the state of the optimizer (--json names each)."
    if any(each.amount for each in weights.differences):
        yield terminal.painted(_LEGEND, _DIM)


def by_module(differences: Sequence[Difference]) -> list[Module]:
    """In the order of the first of each. Changes are compared by norms, else by shares.

    An optimizer's state changes beyond all measure: it is left out, unless there is nothing else.
    """
    found: dict[str, list[Difference]] = {}
    for each in [each for each in differences if not is_state(each.name)] or differences:
        found.setdefault(module_of(each.name), []).append(each)
    known = any(each.amount and each.amount.relative for each in differences)
    measure = "relative" if known else "share"
    return [
        Module(name, members, _relative(members) if known else _share_of(members), measure)
        for name, members in found.items()
    ]


def module_of(name: str) -> str:
    """``model.layers.12.attn.q.weight`` is of ``model.layers.12``; else of what holds it."""
    parts = name.split(".")
    for at, part in enumerate(parts[:-1]):
        if part.isdigit():
            return ".".join(parts[: at + 1])
    return ".".join(parts[:-1]) or name


def is_state(name: str) -> bool:
    """Whether the array is an optimizer's and not the model's, as its place tells."""
    return _STATE.search(name) is not None


def _relative(differences: Sequence[Difference]) -> float:
    """The norm of all changes by that of all that changed, as if it were one array."""
    known = [each.amount for each in differences if each.amount]
    norms = [(each.relative or 0, each.norm or 0) for each in known]
    change = math.hypot(*(relative * norm for relative, norm in norms))
    return change / (math.hypot(*(norm for _, norm in norms)) or 1)


def _share_of(differences: Sequence[Difference]) -> float:
    return max((each.amount.share for each in differences if each.amount), default=0)


def _summary(differences: Sequence[Difference], same: int) -> str:
    if not differences:
        return f"The weights are the same: {same:,} arrays, to the bit."
    return f"Weights: {_counted(differences)}; {same:,} the same."


def _counted(differences: Sequence[Difference]) -> str:
    counts = Counter(each.kind for each in differences)
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _together(differences: Sequence[Difference]) -> Iterator[tuple[Kind, str, str]]:
    """Kind, name and the rest of a line for each; arrays that moved with their module are one."""
    moved = Counter(_move(each) for each in differences)
    told = set()
    for each in differences:
        move = _move(each)
        if move is None or moved[move] < 2:
            short = each.name[len(module_of(each.name)) :].removeprefix(".") or each.name
            yield each.kind, safe(short), words_of(each)
        elif move not in told:
            told.add(move)
            yield each.kind, f"{moved[move]} arrays", f"(were in {safe(move[0])})"


def _move(each: Difference) -> tuple[str, str] | None:
    """From which module to which, of an array that is the same but for that."""
    if each.kind != "renamed" or each.amount or not each.before:
        return None
    return module_of(each.before.name), module_of(each.name)


def _line(each: Difference) -> str:
    return f"{each.kind:<10} {safe(each.name)} {words_of(each)}"


def words_of(each: Difference) -> str:
    words = []
    if each.before and each.after and each.before.name != each.after.name:
        words.append(f"(was {safe(each.before.name)})")
    words.append(_seen(each))
    if each.amount:
        by = each.amount
        words += [f"by {_number(by.relative)}"] if by.relative is not None else []
        words += [f"at most {_number(by.largest)}"] if by.largest is not None else []
        words.append(f"{_share(by.share)} of the {by.of}")
    if each.problem:
        words.append(safe(each.problem))
    return " ".join(words)


def _seen(each: Difference) -> str:
    texts = list(dict.fromkeys(_shape(seen) for seen in (each.before, each.after) if seen))
    return " -> ".join(texts)


def _shape(seen: Seen) -> str:
    return f"{safe(seen.dtype)} {'x'.join(map(str, seen.shape)) or 'scalar'}"


def _number(value: float) -> str:
    return f"{value:.2g}"


def _share(share: float) -> str:
    """Never all of it, and never nothing, where that is not so."""
    percent = 100 * share
    if share == 1:
        return "100 %"
    if percent < 0.01:
        return "< 0.01 %"
    return f"{min(percent, 99.99):.3g} %"


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
