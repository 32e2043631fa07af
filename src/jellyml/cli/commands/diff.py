"""``jellyml diff``: what differs between two checkpoints, commits, or the working tree."""

import json
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.cli.parser import Parser, add_code_dir, add_force, add_max_unpacked
from jellyml.cli.terminal import Terminal, has_colour, is_terminal, safe
from jellyml.cli.views import tensors
from jellyml.compare.diff import PARTS, Comparison, Parts, diff
from jellyml.compare.endpoints import opened
from jellyml.errors import UsageError, pasteable
from jellyml.fs.paths import path_of
from jellyml.tensors import to_numpy

DESCRIPTION = """
Show what differs between two checkpoints: their code, as git shows it, the environment that
they were made in, and their weights, by how much. A and B can be commits of your repository
too. Nothing is loaded or run, and nothing in your folder is touched.

examples:
  jellyml diff model.pth                     with your code as it is now
  jellyml diff before.pth after.pth
  jellyml diff main model.pth --only code
  jellyml diff a.safetensors b.safetensors --only weights --plot change.png
"""

if TYPE_CHECKING:
    from jellyml.compare.code import Code
    from jellyml.compare.environment import Environment, Fact
    from jellyml.compare.tensors import Weights
    from jellyml.fs.output import Output

_BOLD, _RED, _GREEN, _YELLOW = "1", "31", "32", "33"


def add_arguments(parser: Parser) -> None:
    parser.add_argument("a", metavar="A", help="a checkpoint, or a commit")
    parser.add_argument(
        "b", metavar="B", nargs="?", help="another (default: your code as it is now)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--only", choices=PARTS, help="compare nothing else")
    parser.add_argument(
        "--plot", type=path_of, metavar="FILE", help="draw the change of the weights into a picture"
    )
    add_force(parser)
    add_code_dir(parser)
    add_max_unpacked(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    target = _target(args.plot, force=args.force) if args.plot else None
    if args.json:
        made = diff(
            args.a, args.b, only=args.only, folder=args.code_dir, max_unpacked=args.max_unpacked
        )
        terminal.result(json.dumps(_as_json(made), indent=2))
        _plot(target, made.weights, made.before, made.after)
        return
    with opened(args.a, args.b, args.code_dir, args.max_unpacked) as (before, after):
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
    """Into a pipe the difference of the code is exactly git's, before all else."""
    rest = list(_environment(environment, terminal)) if environment else []
    if is_terminal(terminal.out):
        if weights:
            rest += [*([""] if rest else []), *tensors.table_lines(weights, terminal)]
        terminal.paged(_all(code, rest, terminal))
        return
    rest += tensors.lines(weights) if weights else []
    if code:
        terminal.exact(code.patch())
    for line in rest:
        terminal.result(line)


def _all(code: "Code | None", rest: list[str], terminal: Terminal) -> Iterator[str]:
    from jellyml.cli.views.code import difference, lines_of

    colour = has_colour(terminal.out)
    if code:
        lines = difference(lines_of(code.patch()), colour=colour)
        first = next(lines, None)
        if first is None:
            yield terminal.painted("The code is the same.", _BOLD)
        else:
            yield first
            yield from lines
        if rest:
            yield ""
    yield from rest


def _environment(found: "Environment", terminal: Terminal) -> Iterator[str]:
    if not found.facts and not found.packages:
        yield terminal.painted("The environment is the same.", _BOLD)
        return
    yield terminal.painted("Environment:", _BOLD)
    for fact in found.facts:
        yield _fact(fact, terminal, "")
    for fact in found.packages:
        yield _fact(fact, terminal, "package ")


def _fact(fact: "Fact", terminal: Terminal, called: str) -> str:
    name = f"{called}{safe(fact.name)}"
    if fact.before is None:
        return terminal.painted(f"+ {name} {safe(fact.after or '')}", _GREEN)
    if fact.after is None:
        return terminal.painted(f"- {name} {safe(fact.before)}", _RED)
    return terminal.painted(f"! {name} {safe(fact.before)} -> {safe(fact.after)}", _YELLOW)


def _target(path: Path, *, force: bool) -> "Output":
    """Where the picture goes; UsageError where it cannot be written, before anything is read."""
    from jellyml.cli.views.tensors import PICTURE
    from jellyml.fs.output import Output

    named = "FILE" if path.suffix else pasteable(f"{path.name}.png")
    target = Output(path, PICTURE, f"--plot {named}", force)
    target.check()
    return target


def _plot(target: "Output | None", weights: "Weights | None", before: str, after: str) -> None:
    if target is None:
        return
    if weights is None:
        raise UsageError("There are no weights on both sides to draw.", "name two checkpoints")

    tensors.draw(weights, target, f"{before} -> {after}")


def _as_json(made: Comparison) -> dict[str, object]:
    return {
        "before": made.before,
        "after": made.after,
        "code": made.code
        and {
            "files": [asdict(each) for each in made.code.files],
            "patch": made.code.patch.decode("utf-8", "surrogateescape"),
            "cut": made.code.cut,
        },
        "environment": made.environment and asdict(made.environment),
        "weights": made.weights and asdict(made.weights),
        "notes": list(made.notes),
    }
