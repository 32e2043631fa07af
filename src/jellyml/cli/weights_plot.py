"""The change of each module of a model as a picture (matplotlib, extra ``plot``)."""

import os
from pathlib import Path

from jellyml.cli.weights_view import by_module
from jellyml.compare.weights import Weights
from jellyml.errors import JellyError, UsageError
from jellyml.terminal import safe

_MOST = 200  # modules; more could not be told apart
_LONGEST_NAME = 60


def draw(weights: Weights, path: Path, title: str) -> None:
    """Write the picture, in the format that the file's name ends with."""
    if not path.suffix and path.exists():  # a checkpoint, more likely than a picture
        raise UsageError(f"{safe(str(path))} is there already.", f"--plot {path.name}.png")
    try:
        from matplotlib import figure
    except ImportError:
        raise JellyError("A picture needs matplotlib.", "pip install 'jellyml[plot]'") from None
    modules = [module for module in by_module(weights.differences) if module.change]
    if not modules:
        raise UsageError("No array has changed, so there is nothing to draw.")
    shown = sorted(modules, key=lambda module: -module.change)[:_MOST]
    shown = [module for module in modules if module in shown]
    made = figure.Figure(figsize=(8, 1.5 + 0.22 * len(shown)), layout="constrained")
    axes = made.subplots()
    places = range(len(shown))
    axes.barh(places, [module.change for module in shown], color="#c2185b")
    names = [safe(module.name)[-_LONGEST_NAME:] for module in shown]
    axes.set_yticks(places, names, parse_math=False, fontsize=8)
    axes.set_title(safe(title), parse_math=False, fontsize=10)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    relative = shown[0].measure == "relative"
    axes.set_xlabel(
        "norm of the change, by the norm of what was" if relative else "share that changed"
    )
    kind = path.suffix.removeprefix(".").lower() or "png"
    try:
        made.savefig(os.fspath(path), format=kind, dpi=150)
    except ValueError:
        known = ", ".join(sorted(made.canvas.get_supported_filetypes()))
        raise UsageError(f"A picture cannot be a .{safe(kind)} file.", f"one of: {known}") from None
