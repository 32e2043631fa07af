"""``dcp.save(state, storage_writer=SnapshotWriter(folder, snapshot))``: DCP folders with code."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jellyml.errors import JellyError
from jellyml.integrations.run import put
from jellyml.snapshot.snapshot import Snapshot

if TYPE_CHECKING:
    import os

try:
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.metadata import Metadata
    from torch.distributed.checkpoint.storage import WriteResult
except ImportError:
    raise JellyError(
        "jellyml.integrations.distributed needs torch, which is not installed here.",
        "pip install 'jellyml[torch]'",
    ) from None


class SnapshotWriter(FileSystemWriter):
    """A FileSystemWriter that writes the code beside the shards, before ``.metadata``.

    Only the coordinator, rank 0, needs ``snapshot``; other ranks may pass None. Further arguments
    are those of FileSystemWriter.
    """

    def __init__(
        self, path: "str | os.PathLike[str]", snapshot: Snapshot | None, **options: Any
    ) -> None:
        super().__init__(path, **options)
        self._snapshot = snapshot

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        if self._snapshot is not None:
            put(self._snapshot, Path(self.path))
        super().finish(metadata, results)
