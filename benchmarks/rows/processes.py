"""Eight processes that take a snapshot of the same new state at once, beside one alone."""

import json
import os
import shutil
import stat
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import rank
from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared, times, tried
from benchmarks.measure import Failed, Sample, Side, interleaved, process

name = "processes"

PROCESSES = 8
# Each process reads the working tree for itself, and they share the processors.
LIMIT = {100: 2.0}
LIMIT_OF_LARGE = 3.0


def lines(bench: Bench) -> Iterator[Line]:
    for files in bench.sizes[-1:] if bench.quick else bench.sizes:
        with bench.project(files, dirty=True) as project:
            what = f"{PROCESSES} processes, {files:,} files"
            yield tried(what, partial(_at_once, bench, project, files))


def _at_once(bench: Bench, project: Path, files: int) -> Line:
    others: list[float] = []
    taken = interleaved(
        {
            "ours": Side(lambda: _job(bench, project, PROCESSES, others)),
            "theirs": Side(lambda: _job(bench, project, 1)),
        },
        min(bench.runs(files), 11),
    )
    written = Check("bundles", _bundles_written(bench, project), 1, "written")
    what = f"create_snapshot, {PROCESSES} processes at once"
    checks = (times(taken, LIMIT.get(files, LIMIT_OF_LARGE)), written)
    status = process(("git", "status", "--porcelain=v2", "-uall"), folder=project)
    looks = interleaved({"look": status}, bench.runs(files))["look"]
    look = 1e3 * statistics.median(one.processors for one in looks)
    each, processors = 1e3 * statistics.median(others), os.cpu_count() or 1
    note = (
        f"{files:,} files: of it cannot be spared what each of the others does with the one's"
        f" bundle and its own read of the working tree, {each:.1f} ms (git status alone takes"
        f" {look:.1f} ms): together {(PROCESSES - 1) * each / processors:.0f} ms on {processors}"
        " processors."
    )
    return compared(what, "one process", taken, *checks, files=files, state="new state", note=note)


def _job(bench: Bench, project: Path, processes: int, others: list[float] | None = None) -> Sample:
    """From the word to the last process's end; only the snapshots are counted.

    ``others`` gets what the processors worked, in seconds, for one that took what another built.
    """
    command = [sys.executable, rank.__file__]
    pipe = subprocess.PIPE
    ranks = [
        subprocess.Popen(command, cwd=project, stdin=pipe, stdout=pipe, text=True)
        for _ in range(processes)
    ]
    for one in ranks:
        assert one.stdout
        if one.stdout.readline() != "ready\n":
            raise Failed("a process did not get ready")
    bench.forget()
    for one in ranks:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    answers = [json.loads(one.communicate()[0]) for one in ranks]
    if len({answer["commit"] for answer in answers}) != 1 or not answers[0]["commit"]:
        raise Failed("the processes do not have the same snapshot")
    if others is not None:
        others.append(statistics.median(answer["processors"] for answer in answers))
    began = min(answer["began"] for answer in answers)
    took = max(answer["ended"] for answer in answers) - began
    return Sample(took, sum(answer["processors"] for answer in answers))


def _bundles_written(bench: Bench, project: Path) -> int:
    """One more time, not counted, with a git on the way that logs its arguments."""
    log = project.parent / "log"
    noting = project.parent / "bin" / "git"
    noting.parent.mkdir()
    noting.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {shutil.which("git")} "$@"\n')
    noting.chmod(noting.stat().st_mode | stat.S_IXUSR)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{noting.parent}{os.pathsep}{path}"
    try:
        _job(bench, project, PROCESSES)
    finally:
        os.environ["PATH"] = path
    # While they start, they take the capture of the previous job from the cache and pack nothing.
    return sum("pack-objects" in line for line in log.read_text().splitlines())
