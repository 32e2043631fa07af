"""A checkpoint file or folder: find its snapshot, read it, fill it, strip it.

What it exports is imported on first use.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jellyml.checkpoint.checkpoint import MANIFEST_COMING, Checkpoint, find_records
    from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR

__all__ = ["MANIFEST_COMING", "MANIFEST_SIDECAR", "SIDECAR", "Checkpoint", "find_records"]

_HOME = {
    "Checkpoint": "jellyml.checkpoint.checkpoint",
    "MANIFEST_COMING": "jellyml.checkpoint.checkpoint",
    "MANIFEST_SIDECAR": "jellyml.snapshot.serialization",
    "SIDECAR": "jellyml.snapshot.serialization",
    "find_records": "jellyml.checkpoint.checkpoint",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    export: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = export
    return export
