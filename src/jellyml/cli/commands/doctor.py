"""``jellyml doctor``: check JellyML's own data, and repair what is safe to repair."""

from argparse import Namespace

from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import Terminal
from jellyml.recorder.recorder import unfinished
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Check JellyML's data in this repository: the states, the operation log, locks, and the
remains of interrupted commands, jellyml record included. Repair what is safe to repair,
and report the rest.

The exit code is 0 if all is well, 1 if something is left for you to do.
"""


def add_arguments(parser: Parser) -> None:
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    findings = [*Workspace(args.code_dir).doctor(), *unfinished(args.code_dir)]
    terminal.findings(findings)
    return int(any(not (finding.repaired or finding.expected) for finding in findings))
