"""``jellyml show``: what a checkpoint says of how it was made, without loading it."""

import json
import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from jellyml.checkpoint import Checkpoint
from jellyml.cli import show_code
from jellyml.cli.parser import Parser, add_max_unpacked
from jellyml.code.guard import in_words
from jellyml.model import Model
from jellyml.terminal import Terminal

DESCRIPTION = """
Describe the code and the record inside a checkpoint: which commit, which command, which
environment made it. Nothing is loaded or run, and nothing in your folder is touched.

examples:
  jellyml show model.pth
  jellyml show model.pth --packages     what was installed
  jellyml show model.pth --files        the files of the code
  jellyml show model.pth --patch        what had been changed since the last commit
  jellyml show model.pth:src/net.py     one file of the code
  jellyml show model.pth --json         everything, for programs
"""

_MOST_NAMED = 3  # of a list, on the one screen


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a checkpoint: file, folder or address; MODEL:PATH is a file in it",
    )
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--json", action="store_true", help="print everything as JSON")
    wanted.add_argument("--packages", action="store_true", help="print what was installed")
    wanted.add_argument("--files", action="store_true", help="list the files of the code")
    wanted.add_argument(
        "--patch", action="store_true", help="print what had been changed since the last commit"
    )
    add_max_unpacked(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    place, inside = show_code.split(args.model)
    with Model(place, args.max_unpacked) as model:
        if inside is not None:
            show_code.one_file(model, inside, terminal)
        elif args.files:
            show_code.files(model, terminal)
        elif args.patch:
            show_code.patch(model, terminal)
        else:
            _describe(model.checkpoint, args, terminal)


def _describe(checkpoint: Checkpoint, args: Namespace, terminal: Terminal) -> None:
    if args.json:
        terminal.result(json.dumps(_everything(checkpoint), indent=2))
    elif args.packages:
        packages = _dict(checkpoint.manifest or {}, "distributions")
        for name, facts in packages.items():
            terminal.fact(name, str(facts.get("version", "")) if isinstance(facts, dict) else "")
    else:
        for name, value in _facts(checkpoint):
            terminal.fact(name, value)
    if checkpoint.passed_over:
        terminal.warnings([f"A likelier place was passed over. {checkpoint.passed_over.problem}"])


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


def _facts(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """What fits on one screen; whatever is missing is left out, and no form is relied on."""
    manifest: Mapping[str, Any] = checkpoint.manifest or {}
    header = checkpoint.header
    others = checkpoint.others
    more = f"; {others} more in the file" if others else ""
    size = in_words(checkpoint.filling_size)
    yield "checkpoint", f"{checkpoint.path} ({checkpoint.format})"
    yield "snapshot", f"{size}{more}"
    yield from _code(_dict(manifest, "code"), header.stands_for or header.commit)
    if created := manifest.get("created"):
        yield "saved", f"{created} by JellyML {manifest.get('jellyml')}"
    command = _dict(manifest, "command")
    if words := command.get("launched") or command.get("argv"):
        yield "command", shlex.join(map(str, words)) if isinstance(words, list) else str(words)
    if (cwd := command.get("cwd")) and cwd != ".":
        yield "in folder", str(cwd)
    yield from _environment(manifest)
    for name, value in _dict(manifest, "notes").items():
        yield f"note {name}", value if isinstance(value, str) else json.dumps(value)


def _code(code: Mapping[str, Any], commit: str | None) -> Iterator[tuple[str, str]]:
    on = f" on {code['branch']}" if code.get("branch") else ""
    base = str(code.get("base") or "")
    state = f", with changes to {base[:12]}" if code.get("dirty") and base else ""
    yield "commit", f"{commit or code.get('commit') or 'not recorded'}{on}{state}"
    for name, url in _dict(code, "remotes").items():
        yield f"remote {name}", str(url)
    if cut := code.get("cut"):
        yield "history", f"cut: {cut}"
    left_out = code.get("left_out")
    if isinstance(left_out, list) and left_out:
        yield "left out", _named(left_out)
    data = code.get("data")
    if isinstance(data, list) and data:
        yield "data", f"{_named(data)} went along"
    secrets = code.get("secrets")
    if isinstance(secrets, list) and secrets:
        places = "place" if len(secrets) == 1 else "places"
        yield "secrets", f"{len(secrets)} {places} looked like one when it was saved: jellyml check"


def _named(files: list[object]) -> str:
    names = [str(each.get("path")) for each in files if isinstance(each, dict)]
    rest = len(files) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _environment(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    python, torch, machine = (_dict(manifest, name) for name in ("python", "torch", "machine"))
    packages = len(_dict(manifest, "distributions"))
    if python:
        with_torch = f", torch {torch['version']}" if torch.get("version") else ""
        yield "python", f"{python.get('version')}{with_torch}, {packages} packages"
    if cuda := torch.get("cuda"):
        yield "cuda", str(cuda)
    if machine:
        parts = (machine.get("system"), machine.get("machine"), machine.get("host"))
        yield "machine", ", ".join(str(part) for part in parts if part)


def _dict(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = mapping.get(name)
    return found if isinstance(found, dict) else {}
