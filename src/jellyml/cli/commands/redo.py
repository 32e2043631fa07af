"""``jellyml redo``: reverse the last undo."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Reverse the last undo: restore files, staged changes, branch and HEAD as they were before
it, including the edits that you made after the load.

This works even if you have edited, committed or branched since the undo. That state is kept
too, and jellyml undo restores it. After a new load there is nothing to redo.
"""


def add_arguments(parser: Parser) -> None:
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.outcome(Workspace(args.code_dir).redo())
