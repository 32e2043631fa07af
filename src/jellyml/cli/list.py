"""``jellyml list``: the checkpoints below some folders, and which code made each."""

import json
import re
from argparse import Namespace
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.code.guard import in_words
from jellyml.errors import JellyError
from jellyml.listing.listed import Listed, Without, look
from jellyml.listing.made_by import wanted
from jellyml.listing.walk import Place, places
from jellyml.remote.address import Remote, place_of
from jellyml.terminal import Terminal, is_terminal, safe

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

# Most of the time goes by in waiting for disks, on a network above all.
_AT_ONCE = 8


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
    found, without, wrong = _looked_at(args.paths, terminal)
    if asked:
        kept = []
        for one in terminal.progress(found, len(found), "Comparing"):
            try:
                kept += [one] if asked.made(one) else []
            except JellyError as problem:
                wrong.append(problem)
        found = kept
    found.sort(key=_by_name)
    found.sort(key=lambda one: (one.created or "", one.run), reverse=True)
    if args.json:
        terminal.result(json.dumps([_record(one) for one in found], indent=2))
    elif is_terminal(terminal.out):
        _show_runs(found, terminal)
    else:
        for one in found:
            terminal.result("\t".join(map(safe, _row(one))))
    _tell_rest(found, without if not asked else [], wrong, terminal)
    return int(bool(wrong or (asked and not found)))


def _looked_at(
    paths: "Iterable[Path | Remote]", terminal: Terminal
) -> tuple[list[Listed], list[Without], list[JellyError]]:
    found: list[Listed] = []
    without: list[Without] = []
    wrong: list[JellyError] = []
    waiting: list[Place] = []
    for place in places(paths):
        if isinstance(place, JellyError):
            wrong.append(place)
        else:
            waiting.append(place)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for seen in terminal.progress(pool.map(look, waiting), len(waiting), "Reading"):
            match seen:
                case Listed():
                    found.append(seen)
                case Without():
                    without.append(seen)
                case JellyError():
                    wrong.append(seen)
    return found, without, wrong


def _by_name(one: Listed) -> list[tuple[int, str]]:
    """So that epoch9 comes before epoch10."""
    parts = re.split(r"(\d{1,18})", str(one.path))
    return [(int(part) if number % 2 else 0, part) for number, part in enumerate(parts)]


def _show_runs(found: Iterable[Listed], terminal: Terminal) -> None:
    """A line for each run, its checkpoints below it."""
    for number, (_, alike) in enumerate(groupby(found, lambda one: one.run)):
        run = list(alike)
        if number:
            terminal.result()
        terminal.heading("  ".join(filter(None, _about(run[0]))))
        if command := run[0].command:
            terminal.result(f"  $ {safe(command)}")
        for one in run:
            terminal.result(f"  {in_words(one.size):>10}  {safe(str(one.path))}")


def _about(one: Listed) -> Iterator[str]:
    yield _when(one)
    yield f"{(one.commit or 'no commit')[:8]}{f' on {one.branch}' if one.branch else ''}"
    yield _changes(one)


def _row(one: Listed) -> tuple[str, ...]:
    return (
        _when(one),
        (one.commit or "-")[:8],
        one.branch or "-",
        _changes(one) or "-",
        in_words(one.size),
        str(one.path),
        one.command or "-",
    )


def _when(one: Listed) -> str:
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(one.created or "")
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "-"


def _changes(one: Listed) -> str:
    """How the code differed from the commit that HEAD stood at."""
    if one.dirty is None:
        return ""
    if not one.dirty:
        return "as committed"
    count = f"{one.changed} changed" if one.changed else "changed"
    return f"{count} since {one.base[:8]}" if one.base else count


def _record(one: Listed) -> dict[str, object]:
    return {
        "path": str(one.path),
        "format": one.format,
        "size": one.size,
        "run": one.run,
        "created": one.created,
        "commit": one.commit,
        "base": one.base,
        "branch": one.branch,
        "dirty": one.dirty,
        "changed": one.changed,
        "command": one.command,
        "host": one.host,
    }


def _tell_rest(
    found: list[Listed], without: list[Without], wrong: list[JellyError], terminal: Terminal
) -> None:
    sure = sum(one.searched for one in without)
    if not found:
        terminal.note("No checkpoint that carries code was found.")
    if sure:
        terminal.note(f"{_files(sure)} with weights carry no code; jellyml fill MODEL puts it in.")
    if more := len(without) - sure:
        terminal.note(
            f"{_files(more)} with weights carry no code in the last 16 MB; "
            "jellyml show MODEL searches one to its beginning."
        )
    for problem in wrong:
        terminal.error(problem)


def _files(count: int) -> str:
    return f"{count} more file{'' if count == 1 else 's'}"
