"""``jellyml.eat``: restore the code of a checkpoint."""

from dataclasses import dataclass

from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace


class EatArgs:
    quiet: bool
    code_dir: str | None
    no_donut: bool


class EatArgsWithModel(EatArgs):
    """The argument of ``eat``; any object with these attributes works."""

    model: str


@dataclass
class EatArgsWithModel_dataclass(EatArgsWithModel):  # noqa: N801 - the name of 1.0
    model: str
    quiet: bool = False
    code_dir: str | None = None
    no_donut: bool = False


def eat(args: EatArgsWithModel) -> int:
    """Load the code of ``args.model`` into ``args.code_dir``. Returns 0 or raises JellyError."""
    outcome = Workspace(args.code_dir or ".").load(args.model)
    Terminal(quiet=args.quiet).outcome(outcome)
    return 0
