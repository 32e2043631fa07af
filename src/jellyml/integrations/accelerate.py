"""``attach(accelerator)``: put the code into every folder that ``save_state`` writes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jellyml.integrations.run import RunCode, missing

if TYPE_CHECKING:
    import os

try:
    from accelerate import Accelerator
except ImportError:
    raise missing("accelerate", "accelerate") from None


class Attached:
    """The result of ``attach``: ``fill`` fills other folders, ``remove`` detaches."""

    def __init__(self, accelerator: Accelerator, code: RunCode) -> None:
        self._accelerator = accelerator
        self._code = code
        if self._saves():
            code.take()
        self._handle = accelerator.register_save_state_pre_hook(self._saving)

    def fill(self, path: "str | os.PathLike[str]") -> None:
        """Fill a folder after ``accelerator.save_model``. Every rank calls it; one writes."""
        if self._saves():
            self._code.fill(path)

    def remove(self) -> None:
        self._handle.remove()

    def _saves(self) -> bool:
        each_node = self._accelerator.project_configuration.save_on_each_node
        process = self._accelerator
        return bool(process.is_local_main_process if each_node else process.is_main_process)

    def _saving(self, models: Sequence[object], weights: Sequence[object], folder: str) -> None:
        # accelerate has no hook after saving. The folder exists, and no process reads it yet.
        if self._saves():
            self._code.fill(folder)


def attach(
    accelerator: Accelerator,
    git_repo_path: "str | os.PathLike[str] | None" = None,
    **options: Any,
) -> Attached:
    """Capture now, on the main process. Each folder of ``save_state`` then gets a sidecar.

    Every rank calls it; it uses no collective operation. Options are those of
    ``create_snapshot``.
    """
    return Attached(accelerator, RunCode(git_repo_path, **options))
