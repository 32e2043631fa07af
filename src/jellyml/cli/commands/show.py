"""``jellyml show``: describe how a checkpoint was made, without loading it."""

import json
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from jellyml.checkpoint.bounded_file import Sources
from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.checkpoint.reader import CheckpointReader, CodeFile
from jellyml.cli.console import Labelled
from jellyml.cli.parser import Parser, add_json, add_limits, add_max_unpacked, budget_of
from jellyml.cli.terminal import Terminal, has_colour, is_terminal, shown
from jellyml.cli.views import code
from jellyml.errors import UsageError, pasteable
from jellyml.fs.paths import mode_of
from jellyml.remote.address import Location, Remote, parse_location
from jellyml.secrets.search import masked
from jellyml.snapshot.facts import format_size
from jellyml.snapshot.manifest import Manifest

DESCRIPTION = """
Describe the code and the record inside a checkpoint: the commit, the command and the
environment that made it. Nothing is loaded or run, and no file in your folder is changed.

examples:
  jellyml show model.pth
  jellyml show model.pth --packages     the installed packages
  jellyml show model.pth --files        the files of the code
  jellyml show model.pth --patch        the changes since the last commit
  jellyml show model.pth:src/net.py     one file of the code
  jellyml show model.pth --json         everything, for programs
"""

_MOST_NAMED = 3  # of a list, so that the description fits on one screen

_BINARY_CHECK = 8000  # bytes that git searches for a NUL
_LARGE = 1 << 20
_SIGNS = {"program": "*", "symlink": "@", "submodule": " (a submodule)"}


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a checkpoint: file, folder or address; MODEL:PATH is a file in it",
    )
    mode = parser.add_mutually_exclusive_group()
    add_json(mode)
    mode.add_argument("--packages", action="store_true", help="list the installed packages")
    mode.add_argument("--files", action="store_true", help="list the files of the code")
    mode.add_argument(
        "--patch", action="store_true", help="print the changes since the last commit"
    )
    add_max_unpacked(parser)
    add_limits(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    sources = Sources(budget_of(args))
    place, inside = split(args.model, sources)
    with CheckpointReader(place, args.max_unpacked, sources) as model:
        if inside is not None:
            one_file(model, inside, terminal)
        elif args.files:
            files(model, terminal)
        elif args.patch:
            patch(model, terminal)
        else:
            _describe(model.checkpoint, args, terminal)


def _describe(checkpoint: Checkpoint, args: Namespace, terminal: Terminal) -> None:
    if args.json:
        terminal.json(_everything(checkpoint))
    elif args.packages:
        terminal.facts(_packages(checkpoint))
    else:
        terminal.facts(_facts(checkpoint))
    if checkpoint.damaged:
        terminal.warnings([f"A more likely snapshot was skipped. {checkpoint.damaged.problem}"])


def _everything(checkpoint: Checkpoint) -> dict[str, object]:
    header = checkpoint.header
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "commit": header.stands_for or header.commit,
        "snapshot_size": checkpoint.filling_size,
        "other_snapshots": checkpoint.others,
        "manifest": checkpoint.manifest,
    }


def _packages(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    for name, facts in Manifest(checkpoint.manifest).distributions.items():
        yield name, str(facts.get("version", "")) if isinstance(facts, dict) else ""


def _facts(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """Yield the facts for one screen. A missing or malformed field is left out."""
    manifest = Manifest(checkpoint.manifest)
    header = checkpoint.header
    others = checkpoint.others
    more = f"; {others} more in the file" if others else ""
    size = format_size(checkpoint.filling_size)
    yield "checkpoint", f"{checkpoint.path} ({checkpoint.format})"
    yield "snapshot", f"{size}{more}"
    yield from _code(manifest, header.stands_for or header.commit)
    if manifest.created:
        yield "saved", f"{manifest.created} by JellyML {manifest.version}"
    if manifest.launched:
        yield "command", shlex.join(manifest.launched)
    if (cwd := manifest.command.get("cwd")) and cwd != ".":
        yield "in folder", str(cwd)
    yield from _environment(manifest)
    for name, value in manifest.notes.items():
        yield f"note {name}", value if isinstance(value, str) else json.dumps(value)


def _code(manifest: Manifest, commit: str | None) -> Iterator[tuple[str, str]]:
    on = f" on {manifest.branch}" if manifest.branch else ""
    state = f", with changes to {manifest.base[:12]}" if manifest.dirty and manifest.base else ""
    yield "commit", f"{commit or manifest.commit or 'not recorded'}{on}{state}"
    for name, url in manifest.remotes.items():
        yield f"remote {name}", url
    if manifest.cut:
        yield "history", f"cut: {manifest.cut}"
    if left_out := manifest.left_out:
        yield "left out", _named(left_out)
    yield from _in_use(manifest)
    if data := manifest.data:
        yield "data", f"{_named(data)} went along"
    if secrets := manifest.secrets:
        places = "place" if len(secrets) == 1 else "places"
        yield "secrets", f"{len(secrets)} {places} looked like one when it was saved: jellyml check"


def _in_use(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the code that the run used and that the repository does not hold as it ran."""
    if captured := manifest.ignored(captured=True):
        yield "ignored", f"{_named(captured)}: in use, captured"
    if lost := manifest.ignored(captured=False):
        yield "ignored", f"{_named(lost)}: in use, not in the snapshot"
    if outside := manifest.outside:
        yield "outside", f"{_named(outside)}: in use, not in the snapshot"
    if later := manifest.used_later:
        yield "later", f"{_named(later)}: imported after the capture, not in the snapshot"
    if changed := manifest.changed_since_start:
        yield "changed", f"{_named(changed)}: after the run started, may differ from what ran"


def _named(paths: list[str]) -> str:
    rest = len(paths) - _MOST_NAMED
    return ", ".join(paths[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _environment(manifest: Manifest) -> Iterator[tuple[str, str]]:
    python, torch, machine = manifest.python, manifest.torch, manifest.machine
    if python:
        with_torch = f", torch {torch['version']}" if torch.get("version") else ""
        packages = len(manifest.distributions)
        yield "python", f"{python.get('version')}{with_torch}, {packages} packages"
    if cuda := torch.get("cuda"):
        yield "cuda", str(cuda)
    if machine:
        parts = (machine.get("system"), machine.get("machine"), machine.get("host"))
        yield "machine", ", ".join(str(part) for part in parts if part)


def split(words: str, sources: Sources) -> tuple[Location, str | None]:
    """Split ``model.pth:src/net.py`` into checkpoint and path; file names may hold colons."""
    place = parse_location(words)
    if isinstance(place, Remote):
        before, _, inside = words.rpartition(":")
        # The colon of a port or a password does not count: splitting there changes the host.
        if "/" not in before.partition("://")[2] or sources.exists(place):
            return place, None
        return Remote(before), inside
    if not mode_of(place):
        for at, mark in enumerate(words):
            if mark == ":" and mode_of(Path(words[:at])):
                return Path(words[:at]), words[at + 1 :]
    return place, None


def files(model: CheckpointReader, terminal: Terminal, below: str = "") -> None:
    """Print the size and path of each file; to a pipe only the paths. Credentials are masked."""
    chosen = (file for file in model.inside.files() if file.path.startswith(below))
    if is_terminal(terminal.out):
        rows = (
            Labelled(format_size(file.size), f"{shown(file.path)}{_SIGNS.get(file.kind, '')}")
            for file in chosen
        )
        terminal.paged(terminal.two_columns(rows, 9, "right"))
    else:
        terminal.exact(masked(os.fsencode(file.path)) + b"\n" for file in chosen)


def one_file(model: CheckpointReader, path: str, terminal: Terminal) -> None:
    """Print a file, exact to a pipe and escaped on a terminal; or the files of a folder."""
    name = path.removeprefix("./").rstrip("/")
    file = model.files.get(name)
    if file is None:
        below = f"{name}/" if name else ""
        if not any(each.startswith(below) for each in model.files):
            raise _missing(model, name)
        files(model, terminal, below)
    elif is_terminal(terminal.out):
        _on_terminal(file, model, terminal)
    else:
        terminal.exact(file.chunks())


def patch(model: CheckpointReader, terminal: Terminal) -> None:
    """Print the changes since the last commit."""
    pieces = model.patch()
    first = next(pieces, b"")
    if not first:
        terminal.note("Nothing had been changed since the last commit.")
    show_difference(chain([first], pieces), terminal)


def show_difference(pieces: Iterable[bytes], terminal: Terminal) -> None:
    """Print a patch: exact to a pipe; paged, coloured and escaped on a terminal."""
    if is_terminal(terminal.out):
        lines = code.lines_of(pieces)
        terminal.paged(code.difference(lines, colour=has_colour(terminal.out)))
    else:
        terminal.exact(pieces)


def _on_terminal(file: CodeFile, model: CheckpointReader, terminal: Terminal) -> None:
    pieces = file.chunks()
    first = next(pieces, b"")
    if b"\0" in first[:_BINARY_CHECK]:
        terminal.note(
            f"{file.path} is not text ({format_size(file.size)}). To write it to a file:"
            f" jellyml show {pasteable(f'{model.path}:{file.path}')} > FILE"
        )
        return
    lines: Iterator[str] = code.lines_of(chain([first], pieces))
    if file.size <= _LARGE:
        colour = has_colour(sys.stdout)
        lines = iter(code.highlighted(file.path, list(lines), colour=colour))
    terminal.paged(lines)


def _missing(model: CheckpointReader, name: str) -> UsageError:
    similar = get_close_matches(name, list(model.files)[:10_000], n=1)
    place = f"{model.path}:{similar[0]}" if similar else ""
    return UsageError(
        f"The code in {model.path} holds no {name!r}.",
        f"jellyml show {pasteable(place)}"
        if similar
        else f"jellyml show {pasteable(model.path)} --files",
    )
