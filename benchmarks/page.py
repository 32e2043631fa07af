"""The result as ``docs/performance.md``."""

from collections.abc import Iterator

from benchmarks import words
from benchmarks.line import Group, Line
from benchmarks.result import Result

_HEAD = """\
# How long it takes

Written by `make bench`; do not edit. Everything is measured beside what one would do without
JellyML, in turn (A B A B), on the same generated repositories, with a warm page cache. *Times* is
the median of the ratios of each turn, with the quartiles; *ours* and *theirs* are medians. All
runs are in [performance.json](performance.json). Repositories have 300 commits in one pack;
*dirty* means 20 modified and 20 untracked files.

The git processes that ours starts are counted: *processors* is the work of all of them (ours /
theirs), *memory* that of the largest, *read* what all of them read. The *other way* is the same
work as a process of its own where *ours* is a call from a program that has JellyML imported, and
as a call where it is a process.

`make bench` takes about half an hour and 20 GB of disk; `make bench-quick` shows the same on small
repositories within two minutes. `make bench ROWS="loading finding"` measures only some rows anew.
"""
_COLUMNS = (
    "what",
    "files",
    "ours",
    "theirs",
    "times",
    "asked",
    "",
    "other way",
    "processors",
    "memory",
    "read",
)
_RULE = "|---|--:|--:|--:|--:|---|---|--:|--:|--:|--:|"


def page(result: Result, picture: str) -> str:
    parts = [_HEAD, f"![Times what it is measured against, and what was asked]({picture})\n"]
    parts += ["## On what\n", *(f"- {name}: {value}" for name, value in result.machine.items())]
    for group in result.groups.values():
        parts += ["", *_section(group)]
    return "\n".join(parts) + "\n"


def _section(group: Group) -> Iterator[str]:
    yield f"## {group.name.capitalize()}\n"
    yield (
        f"Measured on {group.when}, in {group.seconds / 60:.1f} minutes,"
        f" with {group.load:.1f} other processes running when it began.\n"
    )
    for against in dict.fromkeys(line.against for line in group.lines):
        yield f"Beside {against}:\n" if against else ""
        yield f"| {' | '.join(_COLUMNS)} |\n{_RULE}"
        for line in group.lines:
            if line.against == against:
                yield f"| {' | '.join(_cells(line))} |"
        yield ""
    notes = dict.fromkeys(line.note for line in group.lines if line.note)
    if notes:
        yield from (f"- {note}" for note in notes)


def _cells(line: Line) -> Iterator[str]:
    yield line.title
    yield f"{line.files:,}" if line.files else ""
    if line.why:
        yield from ("", "", "", f"not measured: {line.why}", "", "", "", "", "")
        return
    yield words.span(line.ours)
    yield words.span(line.theirs)
    yield words.ratio(line)
    yield "; ".join(map(words.with_limit, line.checks))
    yield words.verdict(line)
    way = "as a process" if line.as_call else "as a call"
    yield f"{way} {words.span(line.other_way)}" if line.other_way else ""
    yield " / ".join(map(words.time, line.processors)) if all(line.processors) else ""
    yield words.size(line.memory) if line.memory else ""
    yield words.size(line.read) if line.read else ""
