"""The difference of weights in words, array by array; and which of them belong together."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jellyml.compare.weights import Difference, Weights
from jellyml.terminal import safe

NO_NAME = "(no name)"  # an array that is all of its file
_STATE = re.compile(r"(?:^|\.)optim\w*\.")


@dataclass(frozen=True, slots=True)
class Module:
    """A part of the model: its name, and what in it differs; ``change``: by how much all of it."""

    name: str
    differences: Sequence[Difference]
    change: float
    measure: str  # ``relative`` or ``share``


def lines(weights: Weights) -> Iterator[str]:
    """For programs: a line for each array."""
    yield summary(weights)
    yield from map(_line, weights.differences)


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
    """Type and shape; what is another thing now, with what it was."""
    seen = [one for one in (each.before, each.after) if one]
    dtypes = dict.fromkeys(safe(one.dtype) for one in seen)
    shapes = dict.fromkeys("x".join(map(str, one.shape)) or "scalar" for one in seen)
    return f"{' -> '.join(dtypes)} {' -> '.join(shapes)}"


def number(value: float) -> str:
    return f"{value:.2g}"


def share(part: float) -> str:
    """Never all of it, and never nothing, where that is not so."""
    percent = 100 * part
    if part == 1:
        return "100 %"
    if percent < 0.01:
        return "< 0.01 %"
    return f"{min(percent, 99.99):.3g} %"
