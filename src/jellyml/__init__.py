"""Save the code that made a model inside the model's checkpoint.

All names are imported on first use, so that ``import jellyml`` is fast.
"""

from importlib import import_module

# Type checkers recognise this name. Importing ``typing`` would double the start-up time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from jellyml._version import __version__ as __version__
    from jellyml.capture.create import create_jelly_filling, create_snapshot
    from jellyml.checkpoint.fill import fill, strip
    from jellyml.checkpoint.reader import open as open
    from jellyml.compare import diff
    from jellyml.errors import JellyError, JellyWarning
    from jellyml.snapshot import Snapshot
    from jellyml.tensors import LazyArray
    from jellyml.workspace import Workspace

__all__ = [
    "JellyError",
    "JellyWarning",
    "LazyArray",
    "Snapshot",
    "Workspace",
    "create_jelly_filling",
    "create_snapshot",
    "diff",
    "fill",
    "strip",
]

_HOME = {
    "__version__": "_version",
    "JellyError": "errors",
    "JellyWarning": "errors",
    "LazyArray": "tensors",
    "Snapshot": "snapshot",
    "Workspace": "workspace",
    "create_jelly_filling": "capture.create",
    "create_snapshot": "capture.create",
    "diff": "compare",
    "fill": "checkpoint.fill",
    "open": "checkpoint.reader",
    "strip": "checkpoint.fill",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
