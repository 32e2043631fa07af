"""``jellyml.undo``: go back to how things were before the last load."""

from dataclasses import dataclass

from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace


class UndoArgs:
    """What ``undo`` reads; any object with these attributes will do."""

    quiet: bool
    code_dir: str | None
    no_donut: bool


@dataclass
class UndoArgs_dataclass(UndoArgs):  # noqa: N801 - the name of 1.0
    quiet: bool = False
    code_dir: str | None = None
    no_donut: bool = False


def undo(args: UndoArgs) -> int:
    """Undo the last load in ``args.code_dir``; 0, or a JellyError is raised."""
    outcome = Workspace(args.code_dir or ".").undo()
    Terminal(quiet=args.quiet).outcome(outcome)
    return 0
