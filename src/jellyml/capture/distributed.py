"""One capture for all ranks of a process group: the only collective of this package."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from jellyml.errors import UsageError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")


def on_first_rank(group: "ProcessGroup", make: Callable[[], T]) -> T:
    """Return, on every rank, what ``make`` returns on the group's first rank.

    Every rank of the group must call it. An error of ``make`` is raised on every rank, so that
    no rank waits for the others. Raise UsageError if ``group`` is not a process group.
    """
    from torch import distributed

    if not isinstance(group, getattr(distributed, "ProcessGroup", ())):
        raise UsageError(
            f"group={group!r} is not a process group.",
            "pass one of torch.distributed, such as torch.distributed.group.WORLD, or none.",
        )
    answer: list[T | Exception | None] = [None]
    if distributed.get_rank(group) == 0:
        try:
            answer = [make()]
        except Exception as error:  # noqa: BLE001 (it is raised on every rank, below)
            answer = [error]
    source = distributed.get_global_rank(group, 0)
    distributed.broadcast_object_list(answer, src=source, group=group)
    (result,) = answer
    if isinstance(result, Exception):
        raise result
    return result  # type: ignore[return-value]
