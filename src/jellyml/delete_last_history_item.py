"""``jellyml.delete_last_history_item``: take the newest entry off the undo stack."""

from dataclasses import dataclass

from jellyml.cli.terminal import Terminal
from jellyml.workspace.workspace import Workspace


class DeleteLastHistoryItemArgs:
    """What ``delete_last_history_item`` reads; any object with this attribute will do."""

    code_dir: str | None


@dataclass
class DeleteLastHistoryItemArgs_dataclass(DeleteLastHistoryItemArgs):  # noqa: N801 - of 1.0
    code_dir: str | None = None


def delete_last_history_item(args: DeleteLastHistoryItemArgs) -> int:
    """Its states stay reachable by ``restore``; 0, or a JellyError is raised."""
    Terminal().outcome(Workspace(args.code_dir or ".").forget_last())
    return 0
