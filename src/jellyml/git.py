"""``jellyml.git``: run git with the code inside a checkpoint as a repository."""

from dataclasses import dataclass, field

from jellyml.checkpoint.export import run_git
from jellyml.errors import UsageError
from jellyml.remote.address import parse_location


class GitArgs:
    """The argument of ``git``: the path of the checkpoint, then git's arguments."""

    args: list[str]


@dataclass
class GitArgs_dataclass(GitArgs):  # noqa: N801 - the name of 1.0
    args: list[str] = field(default_factory=list)


def git(args: GitArgs) -> int:
    """Run git and return its exit status. Raises JellyError."""
    if not args.args:
        raise UsageError("The first of args is the path of the checkpoint.")
    return run_git(parse_location(args.args[0]), args.args[1:])
