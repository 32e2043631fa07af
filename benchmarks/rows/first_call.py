"""The first ``create_snapshot`` of a process that has torch imported, beside the second."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.line import Line, compared, more, tried
from benchmarks.measure import Failed, Sample

name = "first"

FILES = 100
MORE = 0.06  # seconds
# One process runs before these, so that the capture is in the cache and modules are compiled.
_CALLS = """
import json, time
import torch, jellyml
seconds = []
for _ in range(2):
    began = time.perf_counter()
    snapshot = jellyml.create_snapshot()
    seconds.append(time.perf_counter() - began)
print(json.dumps([snapshot.commit, seconds]))
"""


def lines(bench: Bench) -> Iterator[Line]:
    with bench.project(FILES, dirty=True) as project:
        yield tried("create_snapshot, first call", partial(_first, bench, project))


def _first(bench: Bench, project: Path) -> Line:
    _process(project)
    calls = [_process(project) for _ in range(min(bench.runs(FILES), 9))]
    samples = {
        "ours": [Sample(first) for first, _ in calls],
        "theirs": [Sample(second) for _, second in calls],
    }
    return compared(
        "create_snapshot, first call",
        "the same call repeated in that process",
        samples,
        more(samples, MORE),
        files=FILES,
        state="torch imported",
    )


def _process(project: Path) -> tuple[float, float]:
    """Return the seconds of both calls in a new process."""
    command = [sys.executable, "-c", _CALLS]
    output = subprocess.run(command, cwd=project, capture_output=True, check=True).stdout
    commit, (first, second) = json.loads(output)
    if not commit:
        raise Failed("the snapshot has no code")
    return first, second
