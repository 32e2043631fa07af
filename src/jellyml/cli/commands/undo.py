"""``jellyml undonut``: go back to how things were before the last load."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Undo the last load: files, staged changes, branch and HEAD are what they were before it.
Also called undo and return.

What you changed since the load is kept: jellyml redo brings it back. Commits that no
branch holds get a branch of their own. A second undo takes back the load before.
"""


def add_arguments(parser: Parser) -> None:
    # Named in the usage line of 1.0; there is nothing that it could choose.
    parser.add_argument("model", nargs="?", metavar="model_file", help="accepted and ignored")
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.outcome(Workspace(args.code_dir).undo())
