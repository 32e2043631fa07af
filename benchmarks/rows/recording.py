"""``create_snapshot`` with all that is recorded and looked for, beside the same with none of it."""

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import jellyml
from benchmarks.bench import Bench
from benchmarks.line import Line, compared, times, tried
from benchmarks.measure import inside, interleaved
from benchmarks.rows.capture import captured
from jellyml.capture import bundle, create
from jellyml.capture.capture import Capture
from jellyml.secrets import search
from jellyml.snapshot import environment, manifest
from jellyml.working_tree import exclude

name = "recording"

LIMIT = 1.5
SMALLEST = 5_000  # files
DISTRIBUTIONS, FROM_ELSEWHERE = 300, 20
_AGAINST = "without manifest and searches"


def lines(bench: Bench) -> Iterator[Line]:
    for files in bench.sizes:
        if files < SMALLEST:
            continue
        with bench.project(files, dirty=True) as project, _installed(project.parent):
            for new in (False, True):
                what = f"create_snapshot, all recorded, {files:,} files"
                yield tried(what, partial(_recording, bench, project, files, new=new))


def _recording(bench: Bench, project: Path, files: int, *, new: bool) -> Line:
    def before() -> None:
        """As in a process that has captured nothing yet."""
        environment._installed_in.cache_clear()
        search._expression.cache_clear()
        re.purge()
        if new:
            bench.forget()

    def bare() -> None:
        with _nothing_recorded():
            captured(project)

    taken = interleaved(
        {"ours": inside(lambda: captured(project), before), "theirs": inside(bare, before)},
        bench.runs(files),
    )
    return compared(
        "create_snapshot, all recorded",
        _AGAINST,
        taken,
        times(taken, LIMIT),
        files=files,
        state="new state" if new else "seen before",
        note=f"{DISTRIBUTIONS} distributions are installed besides those of the benchmark.",
    )


@contextmanager
def _nothing_recorded() -> Iterator[None]:
    """No setting switches all of this off, so it is done from outside."""

    def unrecorded(taken: Capture, *_: object) -> jellyml.Snapshot:
        return jellyml.Snapshot(taken.filling, b"", taken.facts)

    with ExitStack() as stack:
        for module, part, instead in (
            (create, "_recorded", unrecorded),
            (manifest, "surroundings", lambda _: {}),
            (bundle, "credentials", lambda *_: []),
            (exclude, "is_checkpoint", lambda _: False),
        ):
            stack.enter_context(patch.object(module, part, instead))
        yield


@contextmanager
def _installed(folder: Path) -> Iterator[None]:
    """So many distributions on the path of this process, some of them from elsewhere."""
    place = folder / "site-packages"
    add_distributions(place)
    sys.path.append(str(place))
    try:
        yield
    finally:
        sys.path.remove(str(place))


def add_distributions(place: Path) -> None:
    """Install so many distributions, some of them from elsewhere."""
    for number in range(DISTRIBUTIONS):
        facts = place / f"package_{number:03}-1.{number}.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: package_{number:03}\n")
        if number % (DISTRIBUTIONS // FROM_ELSEWHERE) == 0:
            address = f'{{"url": "https://example.org/{number}.whl"}}'
            (facts / "direct_url.json").write_text(address)
