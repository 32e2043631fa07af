"""Find the snapshot in a large checkpoint, write it out and describe it."""

import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.line import Check, Line, at_most, compared
from benchmarks.measure import inside, interleaved, process
from benchmarks.rows import loading
from jellyml.checkpoint import Checkpoint
from jellyml.checkpoint.export import write_bundle

name = "finding"

TENSORS = 10_000
SIZE, QUICK_SIZE = 8 << 30, 1 << 28
BEYOND = 4e6  # bytes that may be read which are not the snapshot's
MEMORY = 64e6
SECONDS = 0.3
# What cannot be spared: a Python that copies the bytes from where they are known to lie.
_COPY = """
import sys
with open(sys.argv[1], "rb") as source, open(sys.argv[2], "wb") as target:
    source.seek(int(sys.argv[3]))
    target.write(source.read(int(sys.argv[4])))
"""


def lines(bench: Bench) -> Iterator[Line]:
    size = QUICK_SIZE if bench.quick else SIZE
    what = f"find and extract, {TENSORS:,} tensors"
    state = f"{size / (1 << 30):g} GB"
    with bench.project(100 if bench.quick else 5_000, dirty=True) as project:
        if shutil.disk_usage(project).free < 2 * size:
            yield Line(what, state=state, why="too little space on the disk")
            return
        model = project.parent / "model.pth"
        loading.save(project, model, size, TENSORS)
        yield _extracting(bench, model, what, state)
        yield _showing(bench, model, f"jellyml show, {TENSORS:,} tensors", state)


def _extracting(bench: Bench, model: Path, what: str, state: str) -> Line:
    folder, out = model.parent, model.parent / "out.bundle"
    known = Checkpoint.open(model)
    length = known.header.size
    offset = _offset(model, b"".join(known.bundle())[:4096])
    words = (model, out, offset, length)
    taken = interleaved(
        {
            "ours": process(("jellyml", "fix", "extract-bundle", model, "-o", out), folder=folder),
            "theirs": process((sys.executable, "-c", _COPY, *map(str, words)), folder=folder),
            "other way": inside(lambda: write_bundle(model, out)),
        },
        bench.runs(),
    )
    beyond = statistics.median(sample.read for sample in taken["other way"]) - length
    memory = max(sample.memory for sample in taken["ours"])
    checks = (
        Check("reads beyond it", beyond, BEYOND, "bytes"),
        Check("memory", memory, MEMORY, "bytes"),
        at_most(taken, SECONDS),
    )
    note = f"The snapshot's own bytes: {length / 1e6:.1f} MB."
    against = "copying the snapshot's own bytes"
    return compared(what, against, taken, *checks, state=state, as_call=False, note=note)


def _showing(bench: Bench, model: Path, what: str, state: str) -> Line:
    taken = interleaved(
        {
            "ours": process(("jellyml", "show", model), folder=model.parent),
            "theirs": process((sys.executable, "-c", "pass"), folder=model.parent),
        },
        bench.runs(),
    )
    memory = max(sample.memory for sample in taken["ours"])
    checks = at_most(taken, SECONDS), Check("memory", memory, MEMORY, "bytes")
    return compared(what, "python -c pass", taken, *checks, state=state, as_call=False)


def _offset(model: Path, beginning: bytes) -> int:
    """Where in the file these bytes are: near its end, for the snapshot was saved last."""
    with model.open("rb") as file:
        tail = 64 << 20
        start = max(0, file.seek(0, 2) - tail)
        file.seek(start)
        return start + file.read().rindex(beginning)
