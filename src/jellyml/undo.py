"""``jellyml.undo``: restore the state before the last load."""

from dataclasses import dataclass

from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace


class UndoArgs:
    """The argument of ``undo``; any object with these attributes works."""

    quiet: bool
    code_dir: str | None
    no_donut: bool


@dataclass
class UndoArgs_dataclass(UndoArgs):  # noqa: N801 - the name of 1.0
    quiet: bool = False
    code_dir: str | None = None
    no_donut: bool = False


def undo(args: UndoArgs) -> int:
    """Undo the last load in ``args.code_dir``. Returns 0 or raises JellyError."""
    outcome = Workspace(args.code_dir or ".").undo()
    Terminal(quiet=args.quiet).outcome(outcome)
    return 0
