"""The change of each module of a model as a picture (matplotlib, extra ``plot``)."""

from io import BytesIO

from jellyml.cli.weights_view import by_module
from jellyml.compare.weights import Weights
from jellyml.errors import JellyError, UsageError
from jellyml.outputs import Kind, Output
from jellyml.terminal import safe

_MOST = 200  # modules; more could not be told apart
_LONGEST_NAME = 60
_METADATA = {"png": {"Software": "JellyML"}, "svg": {"Creator": "JellyML"}}
_PNG, _PNG_SOFTWARE = b"\x89PNG\r\n\x1a\n", b"\0\0\0\x10tEXtSoftware\0JellyML"
_SVG_CREATOR = b"<dc:title>JellyML</dc:title>"


def _is_own(start: bytes) -> bool:
    """PNG and SVG alone have a place near their start for what wrote them."""
    if start.startswith(_PNG):
        return _PNG_SOFTWARE in start
    return start.startswith(b"<?xml") and _SVG_CREATOR in start


PICTURE = Kind("picture", _is_own)


def draw(weights: Weights, target: Output, title: str) -> None:
    """Write the picture, in the format that the file's name ends with.

    Raises UsageError where nothing has changed, or for another kind of file; JellyError without
    matplotlib.
    """
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
    kind = target.path.suffix.removeprefix(".").lower() or "png"
    drawn = BytesIO()
    try:
        made.savefig(drawn, format=kind, dpi=150, metadata=_METADATA.get(kind))
    except ValueError:
        known = ", ".join(sorted(made.canvas.get_supported_filetypes()))
        raise UsageError(f"A picture cannot be a .{safe(kind)} file.", f"one of: {known}") from None
    target.write([drawn.getvalue()])
