"""``jellyml undonut``: restore the state before the last load."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Undo the last load: restore files, staged changes, branch and HEAD as they were before it.
Also called undo and return.

What you changed since the load is kept: jellyml redo restores it. Commits that are on no
branch get a new branch. A second undo reverses the load before.
"""


def add_arguments(parser: Parser) -> None:
    # The usage line of 1.0 had this argument. It has no effect.
    parser.add_argument("model", nargs="?", metavar="model_file", help="accepted and ignored")
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.outcome(Workspace(args.code_dir).undo())
