"""Weights of two large checkpoints, of which one tensor differs, beside reading both and memcmp."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared, times
from benchmarks.measure import interleaved, process
from benchmarks.rows import loading

name = "comparing"

TENSORS = 150
SIZE, QUICK_SIZE = 1 << 30, 1 << 26
LIMIT = 1.5
MEMORY = 64e6
# What cannot be spared: a Python that reads both, 4 MiB at a time, and compares.
_BARE = """
import os, sys
size = 4 << 20
mine, theirs = bytearray(size), bytearray(size)
one, other = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
differing = 0
for at in range(0, os.fstat(one).st_size, size):
    os.preadv(one, [mine], at)
    os.preadv(other, [theirs], at)
    differing += mine != theirs
"""


def lines(bench: Bench) -> Iterator[Line]:
    size = QUICK_SIZE if bench.quick else SIZE
    what = f"compare two checkpoints, {TENSORS} tensors, one differs"
    state = f"{size / (1 << 30):g} GB each"
    with bench.project(100, dirty=False) as project:
        if shutil.disk_usage(project).free < 3 * size:
            yield Line(what, state=state, why="too little space on the disk")
            return
        yield _comparing(bench, project, size, what, state)


def _comparing(bench: Bench, project: Path, size: int, what: str, state: str) -> Line:
    one, other = (project.parent / name for name in ("one.pth", "other.pth"))
    loading.save(project, one, size, TENSORS)
    shutil.copyfile(one, other)
    with other.open("r+b") as file:
        file.seek(size // 2)  # in the middle of one of them
        file.write(bytes(4096))
    words = ("jellyml", "diff", one, other, "--only", "weights")
    taken = interleaved(
        {
            "ours": process(words, folder=project),
            "theirs": process((sys.executable, "-c", _BARE, one, other), folder=project),
        },
        bench.runs(),
    )
    memory = max(sample.memory for sample in taken["ours"])
    checks = (times(taken, LIMIT), Check("memory", memory, MEMORY, "bytes"))
    return compared(what, "preadv + memcmp of both", taken, *checks, state=state, as_call=False)
