"""``jellyml list``: the checkpoints below some folders, and which code made each."""

import json
from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from jellyml.catalog.entry import Entry
from jellyml.catalog.made_by import wanted
from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal, is_terminal, safe
from jellyml.cli.views.catalog import Found, changes, looked_at, record, tell_rest, when
from jellyml.errors import JellyError
from jellyml.remote.address import place_of
from jellyml.snapshot.facts import format_size

DESCRIPTION = """
List the checkpoints in folders, and below them, that carry code: when it was captured, which
commit, how far it differed from that, and which command made them. The newest run comes
first; what one run saved stands together.

Only records are read, never the weights, and nothing is run. In a pipe every line is whole:
time, commit, branch, changes, size, file and command, with tabs between.

The exit code is 0, or 1 where something could not be read, or nothing was made by REV.

examples:
  jellyml list runs/
  jellyml list --made-by HEAD~3 runs/        made by that commit, changes on top or not
  jellyml list --made-by lib/net.py runs/    holding that file as it now is
  jellyml list --json runs/                  everything, for programs
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        type=place_of,
        default=[Path()],
        metavar="PATH",
        help="a folder, a checkpoint, or an address of one (default: here)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--made-by",
        metavar="REV|FILE",
        help="only those made by this commit, or by this version of a file (REV:FILE, or FILE as "
        "it is now)",
    )
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    asked = wanted(args.made_by, args.code_dir) if args.made_by else None
    found = looked_at(args.paths, terminal)
    if asked:
        kept = []
        for one in terminal.progress(found.listed, len(found.listed), "Comparing"):
            try:
                kept += [one] if asked.made(one) else []
            except JellyError as problem:
                found.wrong.append(problem)
        found = Found(kept, [], found.wrong)
    if args.json:
        terminal.result(json.dumps([record(one) for one in found.listed], indent=2))
    elif is_terminal(terminal.out):
        _show_runs(found.listed, terminal)
    else:
        for one in found.listed:
            terminal.result("\t".join(map(safe, _row(one))))
    tell_rest(found, terminal)
    return int(bool(found.wrong or (asked and not found.listed)))


def _show_runs(found: Iterable[Entry], terminal: Terminal) -> None:
    """A line for each run, its checkpoints below it."""
    for number, (_, alike) in enumerate(groupby(found, lambda one: one.run)):
        run = list(alike)
        if number:
            terminal.result()
        terminal.heading("  ".join(filter(None, _about(run[0]))))
        if command := run[0].command:
            terminal.result(f"  $ {safe(command)}")
        for one in run:
            terminal.result(f"  {format_size(one.size):>10}  {safe(str(one.path))}")


def _about(one: Entry) -> Iterator[str]:
    yield when(one)
    yield f"{(one.commit or 'no commit')[:8]}{f' on {one.branch}' if one.branch else ''}"
    yield changes(one)


def _row(one: Entry) -> tuple[str, ...]:
    return (
        when(one),
        (one.commit or "-")[:8],
        one.branch or "-",
        changes(one) or "-",
        format_size(one.size),
        str(one.path),
        one.command or "-",
    )
