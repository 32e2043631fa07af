"""The thousandth snapshot and load in one repository, beside the first; and what they keep."""

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import repositories
from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared, times
from benchmarks.measure import Side, inside, interleaved
from benchmarks.rows import capture, loading
from jellyml import Workspace

name = "thousand"

TIMES, QUICK_TIMES = 1_000, 10
FILES = 100
# "No slower", within what two runs of the same differ by.
NO_SLOWER = 1.1
CACHE = 2e9
PER_LOAD = 64e3  # the edited file and the state beside it, not the repository again


def lines(bench: Bench) -> Iterator[Line]:
    many = QUICK_TIMES if bench.quick else TIMES
    yield _snapshots(bench, many)
    yield _loads(bench, many)


class Editor:
    """Changes one file of a project before each run."""

    def __init__(self, project: Path) -> None:
        # Not the same edits in two projects: what one captured, the other would find.
        self.text = repositories.Text(seed=project.parent.stat().st_ino)
        self.file = project / repositories.name(7)

    def edit(self) -> None:
        with self.file.open("ab") as out:
            out.write(self.text.random.choice(self.text.pool))


def _snapshots(bench: Bench, many: int) -> Line:
    with bench.project(FILES, dirty=True) as old, bench.project(FILES, dirty=True) as new:
        git = _size(old / ".git")
        bench.forget()
        again = _edited(old, lambda: capture.captured(old))
        for _ in range(many):
            again.before()
            again.run()
        sides = {"ours": again, "theirs": _edited(new, lambda: capture.captured(new))}
        taken = interleaved(sides, bench.runs())
        checks = (
            times(taken, NO_SLOWER),
            Check("cache", _size(bench.captures), CACHE, "bytes"),
            Check("repository grew", _size(old / ".git") - git, 0, "bytes"),
        )
        bench.forget()
    what = f"create_snapshot after {many:,} others"
    return compared(what, "in a new repository", taken, *checks, files=FILES, state="new state")


def _loads(bench: Bench, many: int) -> Line:
    with bench.project(FILES, dirty=True) as old, bench.project(FILES, dirty=True) as new:
        model = loading.checkpoint(old, old.parent / "model.pth")
        again, first = _there_and_back(old, model), _there_and_back(new, model)
        sizes = []
        for _ in range(many // 2):
            again.before()
            again.run()
            sizes.append(_size(old / ".git/jellyml"))
        taken = interleaved({"ours": again, "theirs": first}, bench.runs(5_000))
    middle = len(sizes) // 2
    growth = (sizes[-1] - sizes[middle]) / (2 * (len(sizes) - middle - 1))
    checks = (times(taken, NO_SLOWER), Check("store grows by", growth, PER_LOAD, "bytes each"))
    what = f"load and undo after {many:,} of them"
    note = f"The private store then takes {sizes[-1] / 1e6:.1f} MB."
    return compared(what, "in a new repository", taken, *checks, files=FILES, note=note)


def _there_and_back(project: Path, model: Path) -> Side:
    workspace = Workspace(project)

    def go() -> None:
        workspace.load(model)
        workspace.undo()

    return _edited(project, go)


def _edited(project: Path, function: Callable[[], object]) -> Side:
    return inside(function, before=Editor(project).edit)


def _size(folder: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))
