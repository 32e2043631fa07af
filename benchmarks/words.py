"""Numbers as people read them."""

import statistics
from collections.abc import Sequence

from benchmarks.line import Check, Line


def span(seconds: Sequence[float]) -> str:
    """The median of some times, or nothing."""
    return time(statistics.median(seconds)) if seconds else ""


def time(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1e3:.3g} ms" if abs(seconds) < 0.1 else f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s"


def size(count: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if abs(count) < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def ratio(line: Line) -> str:
    """``1.21 (1.18 to 1.30)``: the median and the quartiles."""
    times = line.times
    return f"{times.median:.2f} ({times.lower:.2f} to {times.upper:.2f})" if times else ""


def with_limit(check: Check) -> str:
    """``1.21 of 1.3 times``."""
    show = {"bytes": size, "s": time}.get(check.unit)
    if show:
        return f"{check.name} {show(check.measured)}, asked {show(check.limit)}"
    unit = f" {check.unit}" if check.unit else ""
    return f"{check.measured:.3g}{unit} {check.name}, asked {check.limit:.3g}"


def verdict(line: Line) -> str:
    return {None: "", True: "met", False: "NOT MET"}[line.met]
