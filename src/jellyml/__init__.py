"""The code that made a model, inside the model's checkpoint.

Everything here is found on first use, so that importing the package costs nothing.
"""

from importlib import import_module

# Type checkers know it by its name; importing ``typing`` would double the time to start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from jellyml.compare import diff
    from jellyml.create import create_jelly_filling, create_snapshot
    from jellyml.embed import fill, strip
    from jellyml.errors import JellyError, JellyWarning
    from jellyml.model import open as open
    from jellyml.snapshot import Snapshot
    from jellyml.tensors import LazyArray
    from jellyml.workspace import Workspace

__version__ = "2.0.0"

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
    "JellyError": "errors",
    "JellyWarning": "errors",
    "LazyArray": "tensors",
    "Snapshot": "snapshot",
    "Workspace": "workspace",
    "create_jelly_filling": "create",
    "create_snapshot": "create",
    "diff": "compare",
    "fill": "embed",
    "open": "model",
    "strip": "embed",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
