"""``jellyml fix``: rarely needed commands for the undo stack and for bundles."""

from argparse import Namespace
from collections.abc import Callable

from jellyml.checkpoint.export import write_bundle
from jellyml.cli.parser import Parser, add_code_dir, add_common, add_force, add_model, add_yes
from jellyml.cli.terminal import Terminal
from jellyml.fs.paths import path_of
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
You will rarely need this.

  delete-last-history-item   remove the newest entry from the undo stack
  clear-history              remove all entries from the undo stack
  get-history-path           print the folder of JellyML's history
  extract-bundle             write the git bundle of a checkpoint to a file

The first two only shorten the undo stack: every state stays in jellyml history, and
jellyml restore can restore it. To free disk space, use jellyml history --prune.
"""


def add_arguments(parser: Parser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT", help="see above")
    for name, (about, add, function) in _PARTS.items():
        part = kinds.add_parser(name, description=about)
        part.plain = parser.plain
        part.set_defaults(function=function)
        add_common(part)
        add(part)


def run(args: Namespace, terminal: Terminal) -> None:
    args.function(args, terminal)


def _add_asking(parser: Parser) -> None:
    add_yes(parser)
    add_code_dir(parser)


def _add_bundle(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument(
        "-o",
        "--output_path",
        "--output-path",
        type=path_of,
        metavar="PATH",
        help="a file, or a folder for <model_file>.bundle (default: the current folder)",
    )
    add_force(parser)


def _forget_last(args: Namespace, terminal: Terminal) -> None:
    if terminal.agrees("Remove the newest entry from the undo stack?", yes=args.yes):
        terminal.outcome(Workspace(args.code_dir).forget_last())


def _forget_all(args: Namespace, terminal: Terminal) -> None:
    if terminal.agrees("Remove all entries from the undo stack?", yes=args.yes):
        terminal.outcome(Workspace(args.code_dir).forget_all())


def _show_path(args: Namespace, terminal: Terminal) -> None:
    terminal.path(Workspace(args.code_dir).history_path)


def _extract(args: Namespace, terminal: Terminal) -> None:
    written = write_bundle(args.model, args.output_path, force=args.force)
    terminal.note(f"Wrote the bundle to {written}.")


_Add = Callable[[Parser], None]
_Run = Callable[[Namespace, Terminal], None]
_PARTS: dict[str, tuple[str, _Add, _Run]] = {
    "delete-last-history-item": (
        "Remove the newest entry from the undo stack: the next jellyml undo reverses the entry\n"
        "before it. Its states stay in jellyml history.",
        _add_asking,
        _forget_last,
    ),
    "clear-history": (
        "Remove all entries from the undo stack. Their states stay in jellyml history, and\n"
        "jellyml restore can restore any of them.",
        _add_asking,
        _forget_all,
    ),
    "get-history-path": (
        "Print the folder of JellyML's history of this repository.",
        add_code_dir,
        _show_path,
    ),
    "extract-bundle": (
        "Write the git bundle inside a checkpoint to a file. git clones and fetches from such a\n"
        "file as from any repository; its only ref is HEAD. Links are not followed. An existing\n"
        "file is replaced if it was named with -o and is a bundle that JellyML wrote.",
        _add_bundle,
        _extract,
    ),
}
