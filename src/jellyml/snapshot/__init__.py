"""The snapshot: a dictionary of tensors with the code and the manifest.

Exports are imported on first use.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jellyml.snapshot.snapshot import Snapshot

__all__ = ["Snapshot"]

_HOME = {
    "Snapshot": "jellyml.snapshot.snapshot",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
