"""``jellyml check``: search a checkpoint for what should not be published."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from jellyml.checkpoint.audit import Checked, Match, check
from jellyml.cli.parser import Parser, add_json
from jellyml.cli.terminal import Terminal, shown
from jellyml.errors import pasteable
from jellyml.remote.address import Remote, parse_location

DESCRIPTION = """
Search the code in a checkpoint, history included, for keys and passwords, other checkpoints
and large files, before you publish it: in files, their names, link targets, authors and commit
messages. Each match is named by file and line; the secret itself is never printed.

Keys with a known form are always found. Others, recognised by their names or because they look
random, are found by detect-secrets: pip install 'jellyml[secrets]'.

The exit status is 1 if anything was found.

examples:
  jellyml check model.pth
  jellyml check model.pth --json
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "model", type=parse_location, metavar="MODEL", help="a checkpoint: file, folder or address"
    )
    add_json(parser)
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="N",
        help="time for detect-secrets; the remaining files are searched for known forms only (60)",
    )


def run(args: Namespace, terminal: Terminal) -> int:
    checked = check(args.model, seconds=args.seconds)
    if args.json:
        terminal.json(asdict(checked))
        return 1 if checked.places else 0
    for place in checked.places:
        terminal.result(shown(_line(place)))
    _summarise(checked, args.model, terminal)
    return 1 if checked.places else 0


def _line(place: Match) -> str:
    where = place.path if place.line is None else f"{place.path}:{place.line}"
    version = f"an earlier version, {place.oid[:12]}" if place.oid else "the history"
    return f"{where}: {place.what}{f' (in {version})' if place.earlier else ''}"


def _summarise(checked: Checked, model: Path | Remote, terminal: Terminal) -> None:
    terminal.warnings(checked.settings)
    earlier = f" and {_count(checked.earlier, 'earlier version')}" if checked.earlier else ""
    searched = f"{_count(checked.files, 'file')}{earlier} searched"
    if checked.places:
        terminal.note(f"{searched}, {_count(len(checked.places), 'place')} to look at.")
        for sentence in _remedies(checked, pasteable(model)):
            terminal.note(sentence)
    else:
        terminal.done(f"{searched}: nothing was found that should stay here.")
    if not checked.is_installed:
        terminal.warnings(
            ["Only keys with a known form were searched for. Fix: pip install 'jellyml[secrets]'"]
        )
    elif checked.by_form:
        terminal.note(
            f"In {checked.by_form} of them keys with a known form alone: they are not text, large,"
            " or the time was up (--seconds)."
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _remedies(checked: Checked, model: str) -> Iterator[str]:
    """Yield the remedies, the smallest change first."""
    if any(place.earlier for place in checked.places):
        cut = f"jellyml fill --replace --from {model} --history none {model}"
        yield f"To keep the code and leave its history out: {cut}"
    yield f"To take all of the code out: jellyml strip {model}"
    if any(place.earlier and place.oid for place in checked.places):
        yield f"What an earlier version was: jellyml git {model} log --find-object=ID"
    yield "Revoke every key that was ever on another machine, whatever you do here."
