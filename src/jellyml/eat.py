"""``jellyml.eat``: bring the code of a checkpoint back."""

from dataclasses import dataclass

from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace


class EatArgs:
    quiet: bool
    code_dir: str | None
    no_donut: bool


class EatArgsWithModel(EatArgs):
    """What ``eat`` reads; any object with these attributes will do."""

    model: str


@dataclass
class EatArgsWithModel_dataclass(EatArgsWithModel):  # noqa: N801 - the name of 1.0
    model: str
    quiet: bool = False
    code_dir: str | None = None
    no_donut: bool = False


def eat(args: EatArgsWithModel) -> int:
    """Load the code of ``args.model`` into ``args.code_dir``; 0, or a JellyError is raised."""
    outcome = Workspace(args.code_dir or ".").load(args.model)
    Terminal(quiet=args.quiet).outcome(outcome)
    return 0
