"""A long history: the snapshot must be cut in time, and say so."""

import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import jellyml
from benchmarks import repositories
from benchmarks.bench import Bench
from benchmarks.line import Check, Line, at_most, compared
from benchmarks.measure import inside, interleaved, process
from benchmarks.rows import capture

name = "history"

COMMITS, QUICK_COMMITS = 100_000, 7_000
SIZE = 10_700  # bytes that each commit brings and nothing can compress
FILES = 400
SECONDS = 2.0


def lines(bench: Bench) -> Iterator[Line]:
    commits = QUICK_COMMITS if bench.quick else COMMITS
    with bench.folder() as place:
        project = place / "project"
        create(project, commits)
        yield _cut(bench, project, commits)


def create(project: Path, commits: int) -> None:
    project.mkdir()
    repositories.git(project, "init", "-q", "-b", "main")
    repositories.git(project, "config", "core.compression", "0")
    repositories.imported(project, _history(commits))
    repositories.git(project, "commit-graph", "write")
    repositories.git(project, "reset", "-q", "--hard")
    repositories.settle(project)


def _history(commits: int) -> Iterator[bytes]:
    numbers = random.Random(3)
    for number in range(commits):
        yield repositories.commit(number)
        yield repositories.file(repositories.name(number % FILES), numbers.randbytes(SIZE))


def _cut(bench: Bench, project: Path, commits: int) -> Line:
    bundle = ("git", "bundle", "create", "-q", project.parent / "out.bundle", "HEAD")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        taken = interleaved(
            {
                "ours": inside(lambda: jellyml.create_snapshot(project), before=bench.forget),
                "theirs": process(bundle, folder=project),
                "other way": process(capture.WHOLE, folder=project, before=bench.forget),
            },
            5,
        )
    messages = [str(one.message) for one in caught if "history" in str(one.message)]
    size = sum(file.stat().st_size for file in (project / ".git/objects/pack").glob("*.pack"))
    checks = (at_most(taken, SECONDS), Check("silent about it", 6 - len(messages), 0, "times"))
    what, state = f"create_snapshot, {commits:,} commits", f"{size / 1e9:.2g} GB"
    return compared(
        what, "git bundle create", taken, *checks, state=state, note=messages[0] if messages else ""
    )
