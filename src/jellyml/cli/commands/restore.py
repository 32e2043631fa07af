"""``jellyml restore``: go to any state of the history."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Go to a state of the history: N is its number in jellyml history. Files, staged changes,
branch and HEAD are what they were then.

The state that you leave becomes one of the history too, so jellyml undo takes this back.
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("number", type=int, metavar="N", help="the state's number")
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.outcome(Workspace(args.code_dir).restore(args.number))
