"""The result as a picture: times what it is measured against, and what was asked."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.line import Line

# By name: matplotlib is in this benchmark's environment alone, mypy runs in another.
_load: Callable[[str], Any] = import_module

_MET, _MISSED, _PLAIN = "#2a7f62", "#c0392b", "#7f8c8d"


def draw(lines: list[Line], path: Path) -> None:
    """Write an SVG that is the same for the same numbers."""
    matplotlib = _load("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "jellyml", "svg.fonttype": "none"})
    shown = [line for line in lines if line.times]
    if not shown:
        return
    pyplot = _load("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(10, 0.8 + 0.22 * len(shown)), layout="constrained")
    for place, line in enumerate(shown):
        _mark(axes, place, line)
    axes.set_yticks(range(len(shown)), [_label(line) for line in shown], fontsize=8)
    axes.set_ylim(len(shown) - 0.3, -0.7)  # the first on top
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
    axes.axvline(1, color="black", linewidth=0.8)
    axes.grid(axis="x", which="both", linewidth=0.3)
    axes.set_xlabel("times as long (less is better);  | at most, as asked")
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _mark(axes: Any, place: int, line: Line) -> None:
    times = line.times
    assert times
    colour = {None: _PLAIN, True: _MET, False: _MISSED}[line.met]
    axes.plot([times.lower, times.upper], [place, place], color=colour, linewidth=2, alpha=0.4)
    axes.plot([times.median], [place], "o", color=colour, markersize=5)
    for check in line.checks:
        if check.name == "times":
            axes.plot([check.limit], [place], "|", color="black", markersize=11)


def _label(line: Line) -> str:
    files = f", {line.files:,} files" if line.files else ""
    return f"{line.title}{files}  /  {line.against}"
