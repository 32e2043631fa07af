"""``create_snapshot`` beside ``git status`` and ``git bundle create``."""

import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jellyml
from benchmarks.bench import Bench
from benchmarks.line import Line, compared, times, tried
from benchmarks.measure import Failed, inside, interleaved, process

name = "capture"

AGAIN = {100: 3.0, 5_000: 1.5, 50_000: 1.3}
NEW = {
    "clean": {100: 2.0, 5_000: 1.2, 50_000: 1.2},
    "dirty": {100: 2.0, 5_000: 1.5, 50_000: 1.5},
}
STATUS = ("git", "status", "--porcelain")
WHOLE = (sys.executable, "-c", "import jellyml; jellyml.create_snapshot()")


def lines(bench: Bench) -> Iterator[Line]:
    for files in bench.sizes:
        for state in ("clean", "dirty"):
            with bench.project(files, dirty=state == "dirty") as project:
                for measured in (_again, _new):
                    yield tried(
                        f"create_snapshot, {state}, {files:,} files",
                        partial(measured, bench, project, files, state),
                    )


def captured(project: Path) -> jellyml.Snapshot:
    """A snapshot, or a failed row: one without code would be quick."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        snapshot = jellyml.create_snapshot(project)
    if snapshot.error or not snapshot.filling or caught:
        raise Failed(f"{snapshot.error} {[str(one.message) for one in caught]}")
    return snapshot


def _again(bench: Bench, project: Path, files: int, state: str) -> Line:
    taken = interleaved(
        {
            "ours": inside(lambda: captured(project)),
            "theirs": process(STATUS, folder=project),
            "other way": process(WHOLE, folder=project),
        },
        bench.runs(files),
    )
    what, check = "create_snapshot, seen before", times(taken, AGAIN[files])
    return compared(what, "git status", taken, check, files=files, state=state)


def _new(bench: Bench, project: Path, files: int, state: str) -> Line:
    bundle = ("git", "bundle", "create", "-q", project.parent / "out.bundle", "HEAD")
    taken = interleaved(
        {
            "ours": inside(lambda: captured(project), before=bench.forget),
            "theirs": process(STATUS, bundle, folder=project),
            "other way": process(WHOLE, folder=project, before=bench.forget),
        },
        bench.runs(files),
    )
    what, check = "create_snapshot, new state", times(taken, NEW[state][files])
    against = "git status + git bundle create"
    return compared(what, against, taken, check, files=files, state=state)
