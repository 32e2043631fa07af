"""What it costs to start: commands that do next to nothing, beside an empty Python."""

import sys
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.line import Line, compared, times
from benchmarks.measure import interleaved, process

name = "startup"

LIMIT = {"--version": 3.0, "--help": 5.0, "undo": 6.0}


def lines(bench: Bench) -> Iterator[Line]:
    with bench.project(100, dirty=False) as project:
        for word, limit in LIMIT.items():
            taken = interleaved(
                {
                    "ours": process(("jellyml", word), folder=project),
                    "theirs": process((sys.executable, "-c", "pass"), folder=project),
                },
                bench.runs() if bench.quick else 41,
            )
            state = "nothing to undo" if word == "undo" else ""
            check = times(taken, limit)
            yield compared(
                f"jellyml {word}", "python -c pass", taken, check, state=state, as_call=False
            )
