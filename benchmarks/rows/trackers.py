"""``create_snapshot`` beside what other trackers do about code, on the same repositories."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata, util
from pathlib import Path

from benchmarks import repositories
from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared, times
from benchmarks.measure import Failed, Sample, Side, inside, interleaved
from benchmarks.rows import capture, loading
from benchmarks.tracker import TRACKERS

name = "trackers"

WHAT = {
    "wandb": "wandb log_code, all files, offline",
    "mlflow": "mlflow git versioning (no untracked files)",
    "dvc": "dvc exp save --include-untracked",
}
# Never slower than the fastest that captures untracked files: so than each of them.
ALL_FILES = {"wandb", "dvc"}
QUIET = {
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}
RUNS = 7


def lines(bench: Bench) -> Iterator[Line]:
    if bench.quick:
        return
    os.environ |= QUIET
    for files in bench.sizes:
        for tracker in TRACKERS:
            yield _beside(bench, tracker, files)


def _beside(bench: Bench, tracker: str, files: int) -> Line:
    what, state = "create_snapshot, new state", "dirty"
    if not util.find_spec(tracker):
        return Line(what, WHAT[tracker], files, state, why=f"{tracker} could not be installed")
    with ExitStack() as stack:
        project = stack.enter_context(bench.project(files, dirty=True))
        try:
            theirs = stack.enter_context(_running(bench, tracker, files))
            sides = {"ours": inside(lambda: capture.captured(project), bench.forget)}
            taken = interleaved(sides | {"theirs": theirs}, RUNS)
        except (Failed, OSError, subprocess.CalledProcessError) as problem:
            return Line(what, WHAT[tracker], files, state, why=str(problem))
    checks: tuple[Check, ...] = (times(taken, 1.0),) if tracker in ALL_FILES else ()
    against = f"{WHAT[tracker]} ({metadata.version(tracker)})"
    return compared(what, against, taken, *checks, files=files, state=state)


@contextmanager
def _running(bench: Bench, tracker: str, files: int) -> Iterator[Side]:
    """The tracker in a project of its own, where what it leaves behind has no effect."""
    with bench.project(files, dirty=False) as project:
        if tracker == "dvc":
            subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=project, check=True)
            repositories.git(project, "commit", "-q", "-m", "Set up DVC")
        repositories.make_dirty(project)
        log = project.parent / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.tracker", tracker],
                cwd=project,
                env=os.environ | {"PYTHONPATH": str(loading.ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        with process:
            answered(process, "ready", log)
            yield Side(lambda: _once(process, log))


def _once(process: subprocess.Popen[str], log: Path) -> Sample:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    return Sample(float(answered(process, "took", log)))


def answered(process: subprocess.Popen[str], word: str, log: Path) -> str:
    """What follows the word in its answer; trackers print much else."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    messages = log.read_text(errors="replace").strip().splitlines()
    raise Failed(messages[-1] if messages else "it ended without a word")
