"""``jellyml history``: list the recorded states, or prune them."""

import re
from argparse import ArgumentTypeError, Namespace
from dataclasses import dataclass

from jellyml.cli.parser import Parser, add_code_dir, add_yes, size
from jellyml.cli.terminal import Terminal
from jellyml.errors import UsageError
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
List the states before and after each command, newest first: time, command, model, branch,
commit, and how many files the command changed. A star marks the current state.
jellyml restore N restores state N.

States are kept until you prune them; nothing is pruned automatically.

examples:
  jellyml history
  jellyml history --prune 30d      delete states older than 30 days (also: 12h, 8w, 1y)
  jellyml history --prune 2GB      delete the oldest until 2 GB are left (also: 500MB)
  jellyml history --prune --all    delete all of JellyML's data from this repository
"""

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


@dataclass(frozen=True, slots=True)
class Limit:
    """The argument of ``--prune``: an age in seconds, a size in bytes, or neither."""

    age: float | None = None
    size: int | None = None


def age_or_size(text: str) -> Limit:
    """Parse ``30d`` or ``2GB``. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([hdwy])", text.lower())
    if match:
        return Limit(age=float(match[1]) * _SECONDS[match[2]])
    try:
        return Limit(size=size(text))
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"{text!r} is neither an age (30d, 12h, 8w, 1y) nor a size (500MB, 2GB)"
        ) from None


def add_arguments(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print the history as JSON")
    parser.add_argument(
        "--prune",
        nargs="?",
        const=Limit(),
        type=age_or_size,
        metavar="AGE|SIZE",
        help="delete states older than AGE, or the oldest until SIZE is left",
    )
    parser.add_argument(
        "--all", action="store_true", help="with --prune: delete everything, undo included"
    )
    add_yes(parser)
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    workspace = Workspace(args.code_dir)
    if args.prune is not None or args.all:
        _prune(workspace, args, terminal)
        return
    repaired = workspace.repair()
    for sentence in (*repaired.message, *repaired.warnings) if repaired else ():
        terminal.note(sentence)
    entries = workspace.history()
    if args.json:
        terminal.history_json(entries)
        return
    terminal.history(entries)
    for entry in entries:
        for name, place in entry.aside.items():
            terminal.note(f"{name} of state {entry.number} is set aside at {place}.")


def _prune(workspace: Workspace, args: Namespace, terminal: Terminal) -> None:
    limit: Limit | None = args.prune
    if limit is None or (limit == Limit()) != args.all:
        raise UsageError(
            "What to prune is an age, a size, or --all.",
            "jellyml history --prune 30d, or --prune 2GB, or --prune --all",
        )
    what = "Everything that JellyML keeps here" if args.all else "Old states"
    if terminal.agrees(f"{what} will be deleted permanently. Go ahead?", yes=args.yes):
        terminal.outcome(
            workspace.prune(older_than=limit.age, larger_than=limit.size, everything=args.all)
        )
