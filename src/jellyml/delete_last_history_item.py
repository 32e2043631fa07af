"""``jellyml.delete_last_history_item``: remove the newest entry from the undo stack."""

from dataclasses import dataclass

from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace


class DeleteLastHistoryItemArgs:
    """The argument of ``delete_last_history_item``; any object with this attribute works."""

    code_dir: str | None


@dataclass
class DeleteLastHistoryItemArgs_dataclass(DeleteLastHistoryItemArgs):  # noqa: N801 - of 1.0
    code_dir: str | None = None


def delete_last_history_item(args: DeleteLastHistoryItemArgs) -> int:
    """Remove the entry and return 0; ``restore`` still reaches its states. Raises JellyError."""
    Terminal().outcome(Workspace(args.code_dir or ".").forget_last())
    return 0
