"""The result in the terminal, a line as soon as it is measured."""

from benchmarks import words
from benchmarks.line import Line

_CELLS = (("what", 48), ("files", 7), ("ours", 9), ("theirs", 9), ("times", 24), ("verdict", 8))


def head() -> str:
    return _joined([title for title, _ in _CELLS])


def row(line: Line) -> str:
    """One line of cells, and what it is measured against and asked for below it."""
    if line.why:
        return _joined([line.title, _files(line)]) + f"\n    not measured: {line.why}"
    cells = [
        line.title,
        _files(line),
        words.span(line.ours),
        words.span(line.theirs),
        words.ratio(line),
        words.verdict(line),
    ]
    below = [f"against {line.against}"] if line.against else []
    below += map(words.with_limit, line.checks)
    if line.other_way:
        way = "as a process" if line.as_call else "as a call"
        below.append(f"{way} {words.span(line.other_way)}")
    if all(line.processors):
        ours, theirs = map(words.time, line.processors)
        below.append(f"processors {ours} and {theirs}")
    if line.memory:
        below.append(f"memory {words.size(line.memory)}")
    if line.read:
        below.append(f"read {words.size(line.read)}")
    return f"{_joined(cells)}\n    {'; '.join(below)}" + (f"\n    {line.note}" if line.note else "")


def _files(line: Line) -> str:
    return f"{line.files:,}" if line.files else ""


def _joined(cells: list[str]) -> str:
    widths = [width for _, width in _CELLS]
    first, *others = (
        f"{cell:<{width}}" if number in (0, 4, 5) else f"{cell:>{width}}"
        for number, (cell, width) in enumerate(zip(cells, widths, strict=False))
    )
    return "  ".join([first, *others]).rstrip()
