"""``jellyml redo``: take the last undo back."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Take the last undo back: files, staged changes, branch and HEAD are what they were before
it, the edits that you had made after the load included.

It works whatever you edited, committed or branched since the undo; that too is kept, and
jellyml undo goes back to it. Only a new load leaves nothing to redo.
"""


def add_arguments(parser: Parser) -> None:
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.outcome(Workspace(args.code_dir).redo())
