"""``jellyml restore``: restore any state of the history."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Restore a state of the history: N is its number in jellyml history. Files, staged changes,
branch and HEAD become what they were then.

The current state is added to the history first, so jellyml undo reverses this.
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("number", type=int, metavar="N", help="the state's number")
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.outcome(Workspace(args.code_dir).restore(args.number))
