"""``fill`` of a large checkpoint, beside writing and syncing the snapshot's own bytes."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.line import Line, compared, times
from benchmarks.measure import inside, interleaved, process
from benchmarks.rows import loading
from jellyml import create_snapshot, fill, strip

name = "filling"

TENSORS = 400  # as in a language model of that size
SIZE, QUICK_SIZE = 8 << 30, 1 << 28
LIMIT = 3.0


def lines(bench: Bench) -> Iterator[Line]:
    size = QUICK_SIZE if bench.quick else SIZE
    state = f"{size / (1 << 30):g} GB"
    with bench.project(100 if bench.quick else 5_000, dirty=True) as project:
        if shutil.disk_usage(project).free < 2 * size:
            yield Line("fill", state=state, why="too little space on the disk")
            return
        model = project.parent / "model.pth"
        loading.save(project, model, size, TENSORS, bare=True)
        yield _filling(bench, project, model, state)


def _filling(bench: Bench, project: Path, model: Path, state: str) -> Line:
    snapshot = create_snapshot(project)
    written = snapshot.filling + snapshot.manifest
    beside = model.with_name("bytes")
    size = model.stat().st_size

    def emptied() -> None:
        if model.stat().st_size != size:
            strip(model)

    taken = interleaved(
        {
            "ours": inside(lambda: fill(model, snapshot), before=emptied),
            "theirs": inside(lambda: _write(beside, written)),
            "other way": process(("jellyml", "fill", model), folder=project, before=emptied),
        },
        bench.runs(),
    )
    what = f"fill of a .pth, {TENSORS:,} tensors"
    against = "writing and syncing the snapshot's own bytes"
    note = f"The snapshot's own bytes: {len(written) / 1e6:.1f} MB. As a process: capture included."
    return compared(what, against, taken, times(taken, LIMIT), state=state, note=note)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
