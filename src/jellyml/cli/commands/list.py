"""``jellyml list``: list the checkpoints below some folders, and the code of each."""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from itertools import groupby

from jellyml.catalog.entry import Entry
from jellyml.catalog.made_by import parse_criterion
from jellyml.cli.console import Labelled
from jellyml.cli.parser import Parser, add_code_dir, add_json, add_paths
from jellyml.cli.terminal import Terminal, is_terminal, shown
from jellyml.cli.views.catalog import (
    Listing,
    changes,
    read_checkpoints,
    record,
    show_problems,
    when,
)
from jellyml.errors import JellyError
from jellyml.snapshot.facts import format_size

DESCRIPTION = """
List the checkpoints in and below folders that carry code: when it was captured, its commit,
how many files differed from that, and the command that made them. The newest run comes
first; the checkpoints of one run are grouped.

Only records are read, never the weights, and nothing is run. To a pipe, each line holds time,
commit, branch, changes, size, file and command, separated by tabs.

The exit code is 1 if a file could not be read, or if REV made none; else 0.

examples:
  jellyml list runs/
  jellyml list --made-by HEAD~3 runs/        by that commit, with or without changes
  jellyml list --made-by lib/net.py runs/    with that file as it is now
  jellyml list --json runs/                  everything, for programs
"""


def add_arguments(parser: Parser) -> None:
    add_paths(parser)
    add_json(parser)
    parser.add_argument(
        "--made-by",
        metavar="REV|FILE",
        help="list only those made by this commit, or by this version of a file (REV:FILE, or FILE "
        "as it is now)",
    )
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    criterion = parse_criterion(args.made_by, args.code_dir) if args.made_by else None
    listing = read_checkpoints(args.paths, terminal)
    if criterion:
        matching = []
        for one in terminal.progress(listing.listed, len(listing.listed), "Comparing"):
            try:
                matching += [one] if criterion.matches(one) else []
            except JellyError as problem:
                listing.wrong.append(problem)
        listing = Listing(matching, [], listing.wrong)
    if args.json:
        terminal.json([record(one) for one in listing.listed])
    elif is_terminal(terminal.out):
        _show_runs(listing.listed, terminal)
    else:
        for one in listing.listed:
            terminal.result("\t".join(map(shown, _row(one))))
    show_problems(listing, terminal)
    return int(bool(listing.wrong or (criterion and not listing.listed)))


def _show_runs(entries: Iterable[Entry], terminal: Terminal) -> None:
    """Print a heading for each run, then its checkpoints."""
    for number, (_, group) in enumerate(groupby(entries, lambda one: one.run)):
        run = list(group)
        if number:
            terminal.result()
        terminal.heading("  ".join(filter(None, _about(run[0]))))
        if command := run[0].command:
            terminal.result(f"  $ {shown(command)}")
        rows = (Labelled(format_size(one.size), shown(str(one.path))) for one in run)
        for line in terminal.two_columns(rows, 12, "right"):
            terminal.result(line)


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
