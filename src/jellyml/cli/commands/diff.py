"""``jellyml diff``: show the differences of two checkpoints, commits, or the working tree."""

import json
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.cli.parser import (
    Parser,
    add_code_dir,
    add_force,
    add_json,
    add_limits,
    add_max_unpacked,
    budget_of,
)
from jellyml.cli.terminal import Terminal, has_colour, is_terminal, shown
from jellyml.cli.views import tensors
from jellyml.compare.diff import PARTS, Comparison, Parts, diff
from jellyml.compare.endpoints import open_endpoints
from jellyml.errors import UsageError, pasteable
from jellyml.fs.paths import path_of
from jellyml.tensors import to_numpy

DESCRIPTION = """
Show the differences of two checkpoints: their code, as git shows it, the environment that
made them, and how much their weights differ. A and B can also be commits of your repository.
Nothing is loaded or run, and no file in your folder is changed.

examples:
  jellyml diff model.pth                     compare with your code as it is now
  jellyml diff before.pth after.pth
  jellyml diff main model.pth --only code
  jellyml diff a.safetensors b.safetensors --only weights --plot change.png
"""

if TYPE_CHECKING:
    from rich.console import RenderableType

    from jellyml.compare.code import Code
    from jellyml.compare.environment import Environment, Fact
    from jellyml.compare.tensors import Weights
    from jellyml.fs.output import Output

_STYLES = {"+": "green", "-": "red", "!": "yellow"}


def add_arguments(parser: Parser) -> None:
    parser.add_argument("a", metavar="A", help="a checkpoint, or a commit")
    parser.add_argument(
        "b",
        metavar="B",
        nargs="?",
        help="a checkpoint, or a commit (default: your code as it is now)",
    )
    add_json(parser)
    parser.add_argument("--only", choices=PARTS, help="compare only this part")
    parser.add_argument(
        "--plot", type=path_of, metavar="FILE", help="write a plot of the changes of the weights"
    )
    add_force(parser)
    add_code_dir(parser)
    add_max_unpacked(parser)
    add_limits(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    target = _target(args.plot, force=args.force) if args.plot else None
    budget = budget_of(args)
    if args.json:
        comparison = diff(
            args.a,
            args.b,
            only=args.only,
            folder=args.code_dir,
            max_unpacked=args.max_unpacked,
            budget=budget,
        )
        terminal.result(json.dumps(_as_json(comparison), indent=2))
        _plot(target, comparison.weights, comparison.before, comparison.after)
        return
    endpoints = open_endpoints(args.a, args.b, args.code_dir, args.max_unpacked, budget)
    with endpoints as (before, after):
        parts = Parts(before, after, args.only)
        with parts.code() as code:
            environment, weights = parts.environment(), parts.weights()
            _show(terminal, code, environment, weights)
        for note in parts.notes:
            terminal.note(note)
        if weights and any(each.amount for each in weights.differences) and not to_numpy.is_here():
            terminal.note("By how much, in numbers, needs numpy: pip install 'jellyml[weights]'")
        _plot(target, weights, before.name, after.name)


def _show(
    terminal: Terminal,
    code: "Code | None",
    environment: "Environment | None",
    weights: "Weights | None",
) -> None:
    """Print all parts. To a pipe the code comes first, exactly as git prints it."""
    facts = list(_environment(environment)) if environment else []
    if is_terminal(terminal.out):
        terminal.paged(_sections(code, facts, weights, terminal))
        return
    if code:
        terminal.exact(code.patch())
    for line in facts:
        terminal.result(line)
    for line in tensors.lines(weights) if weights else ():
        terminal.result(line)


def _sections(
    code: "Code | None", facts: list[str], weights: "Weights | None", terminal: Terminal
) -> Iterator[str]:
    """Yield the lines of all parts for a terminal, with an empty line between two parts."""
    sections = [_code(code, terminal)] if code else []
    if facts:
        sections.append(terminal.drawn(*map(_styled, facts)))
    if weights:
        sections.append(terminal.drawn(*tensors.drawing(weights, terminal)))
    for number, section in enumerate(sections):
        if number:
            yield ""
        yield from section


def _code(code: "Code", terminal: Terminal) -> Iterator[str]:
    from jellyml.cli.views.code import difference, lines_of

    lines = difference(lines_of(code.patch()), colour=has_colour(terminal.out))
    first = next(lines, None)
    if first is None:
        yield from terminal.drawn(_styled("The code is the same."))
    else:
        yield first
        yield from lines


def _styled(line: str) -> "RenderableType":
    """Return a line in the colour of its sign, or bold if it is a heading."""
    from rich.text import Text

    return Text(line, style=_STYLES.get(line[0], "bold"))


def _environment(environment: "Environment") -> Iterator[str]:
    if not environment.facts and not environment.packages:
        yield "The environment is the same."
        return
    yield "Environment:"
    for fact in environment.facts:
        yield _fact(fact, "")
    for fact in environment.packages:
        yield _fact(fact, "package ")


def _fact(fact: "Fact", label: str) -> str:
    name = f"{label}{shown(fact.name)}"
    if fact.before is None:
        return f"+ {name} {shown(fact.after or '')}"
    if fact.after is None:
        return f"- {name} {shown(fact.before)}"
    return f"! {name} {shown(fact.before)} -> {shown(fact.after)}"


def _target(path: Path, *, force: bool) -> "Output":
    """Return the file of the plot. Raises UsageError, before anything is read, if it is refused."""
    from jellyml.cli.views.tensors import PICTURE
    from jellyml.fs.output import Output

    example = "FILE" if path.suffix else pasteable(f"{path.name}.png")
    target = Output(path, PICTURE, f"--plot {example}", force)
    target.check()
    return target


def _plot(target: "Output | None", weights: "Weights | None", before: str, after: str) -> None:
    if target is None:
        return
    if weights is None:
        raise UsageError("There are no weights on both sides to draw.", "name two checkpoints")

    tensors.draw(weights, target, f"{before} -> {after}")


def _as_json(comparison: Comparison) -> dict[str, object]:
    return {
        "before": comparison.before,
        "after": comparison.after,
        "code": comparison.code
        and {
            "files": [asdict(each) for each in comparison.code.files],
            "patch": comparison.code.patch.decode("utf-8", "surrogateescape"),
            "cut": comparison.code.cut,
        },
        "environment": comparison.environment and asdict(comparison.environment),
        "weights": comparison.weights and asdict(comparison.weights),
        "notes": list(comparison.notes),
    }
