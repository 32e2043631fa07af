"""``jellyml doctor``: check what JellyML keeps, and mend what is safe to mend."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.recorder.recorder import unfinished
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Check what JellyML keeps in this repository: the states, the list of operations, locks and
what an interrupted command left behind, jellyml record included. Mends what is safe to
mend, and says the rest.

The exit code is 0 if all is well, 1 if something is left to do.
"""


def add_arguments(parser: Parser) -> None:
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    findings = [*Workspace(args.code_dir).doctor(), *unfinished(args.code_dir)]
    terminal.findings(findings)
    return int(any(not (finding.repaired or finding.expected) for finding in findings))
