"""``load`` and ``undo``, whole processes, beside what a user of git types instead."""

import hashlib
import shutil
import statistics
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import repositories
from benchmarks.bench import Bench
from benchmarks.line import Check, Line, compared, more, times
from benchmarks.measure import Failed, Sample, Side, inside, interleaved, process
from jellyml import Workspace
from jellyml.checkpoint import Checkpoint
from jellyml.fs.atomic import replace, sync_tree
from jellyml.workspace.on_disk import LeftInPlace, layout

name = "loading"

ROOT = Path(__file__).resolve().parents[2]
MODIFIED = ADDED = 100
# Times what git takes; at 100 files, where starting Python is most of it, seconds more.
LIMIT = {5_000: 2.0, 50_000: 1.0}
MORE = 0.25
# To keep a state and go to another: where, is it kept, which, where HEAD is, its index. What git
# takes to answer is more. What differs, its files and one pack are asked for as they are.
QUESTIONS = 5


def lines(bench: Bench) -> Iterator[Line]:
    for files in bench.sizes:
        with bench.project(files, dirty=True) as project:
            model = checkpoint(project, project.parent / "model.pth")
            loads, undos = _both(bench, project, model, files)
            floors = ({}, {}, {}) if bench.quick else _floor(bench, project, model)
            both, looking, unpacking = floors
        state = f"{MODIFIED + ADDED} files differ"
        for what, against, taken, floor in (
            ("jellyml load", "git stash -u + fetch + checkout", loads, both | unpacking),
            ("jellyml undo", "git checkout + stash pop", undos, both | looking),
        ):
            check = _check(taken, files)
            parts = ", ".join(f"{part} {1e3 * seconds:.0f} ms" for part, seconds in floor.items())
            together = 1e3 * sum(floor.values())
            note = (
                f"{files:,} files, {what.split()[1]}: of it cannot be spared {parts}:"
                f" together {together:.0f} ms."
                if floor
                else ""
            )
            yield compared(
                what, against, taken, check, files=files, state=state, as_call=False, note=note
            )


def _check(taken: dict[str, list[Sample]], files: int) -> Check:
    return times(taken, LIMIT[files]) if files in LIMIT else more(taken, MORE)


def _floor(bench: Bench, project: Path, model: Path) -> Iterator[dict[str, float]]:
    """Seconds of what no load or undo that keeps all does without; no undo; and no load.

    A load has the look at the tree beside git's check of what came. An undo of it takes all
    files away that it brought: by a rename, since they are gone only when all is done; read,
    since the user may have edited them meanwhile; and dropped.
    """
    place = project.parent / "floor"
    place.mkdir()
    away, trash = place / "away", place / "trash"
    for name in ("empty", "."):
        repositories.git(place, "init", "-q", "--bare", name)
    bundle = b"".join(Checkpoint.open(model).bundle())
    (place / "code.pack").write_bytes(bundle[bundle.index(b"\n\n") + 2 :])
    (place / "code.bundle").write_bytes(bundle)
    repositories.git(place, "fetch", "-q", "code.bundle", "HEAD:refs/heads/code")
    differ = ("diff-tree", "-r", "-z", "--raw", "code^", "code")
    rows = repositories.git(place, *differ).split(b"\0")[:-1:2][:MODIFIED]
    blobs = b"".join(row.split(b" ")[3] + b"\n" for row in rows)
    program = "import jellyml.cli.dispatch, jellyml.cli.commands.undo, jellyml.workspace.operations"
    status = ("git", "status", "--porcelain=v2", "-uall", "--ignored")
    check = ("git", "index-pack", "--strict", "--threads=1", "-o", "../code.idx", "../code.pack")
    question = ("git", "rev-parse", "HEAD")
    pack = ("pack-objects", "-q", "--revs", "--stdout", "--window=0")
    index = (project / ".git/index").read_bytes()
    texts = [file.read_bytes() for file in sorted(project.rglob("*.py"))[:MODIFIED]]
    both = {
        "starting Python with what this program is made of": process(
            (sys.executable, "-c", program), folder=project
        ),
        f"{QUESTIONS} questions to git, one after the other": process(
            *(question for _ in range(QUESTIONS)), folder=project
        ),
        "git's word on what differs": process(("git", *differ), folder=place),
        f"{len(rows)} files read out of git": inside(
            lambda: repositories.git(place, "cat-file", "--batch", "--buffer", stdin=blobs)
        ),
        "git's packing of what is kept": inside(
            lambda: repositories.git(place, *pack, stdin=b"code\n^code^\n")
        ),
        f"{MODIFIED} files written and synced": inside(
            lambda: _write(place / "written", texts), before=lambda: _clear(place / "written")
        ),
    }
    looking = {
        "git status": process(status, folder=project),
        "the modes of all files": inside(lambda: layout(project, LeftInPlace(()))),
        "keeping the index": inside(lambda: replace(place / "kept", [zlib.compress(index, 1)])),
        f"{2 * len(texts)} files moved away": inside(
            lambda: _move(away, trash), before=lambda: _lay_out(away, 2 * texts, trash)
        ),
        "each read again": inside(lambda: _read(trash)),
        "and dropped": inside(lambda: shutil.rmtree(trash)),
    }
    unpacking = {"git's check of what came": process(check, folder=place / "empty")}
    taken = interleaved(both | looking | unpacking, bench.runs(50_000))
    for sides in (both, looking, unpacking):
        yield {name: statistics.median(one.seconds for one in taken[name]) for name in sides}


def _write(folder: Path, texts: list[bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number}").write_bytes(text)
    sync_tree(folder)


def _lay_out(folder: Path, texts: list[bytes], trash: Path) -> None:
    _clear(trash)
    _write(folder, texts)


def _move(source: Path, target: Path) -> None:
    for file in source.iterdir():
        file.rename(target / file.name)
    sync_tree(target)


def _read(folder: Path) -> None:
    for file in folder.iterdir():
        hashlib.sha1(file.read_bytes(), usedforsecurity=False)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def checkpoint(project: Path, model: Path, size: int = 1 << 20, tensors: int = 16) -> Path:
    """A model saved from other code: 200 files of it are not as in the project."""
    other = project.parent / "other"
    repositories.copy(project, other)
    repositories.git(other, "clean", "-qfd")
    repositories.git(other, "checkout", "-q", ".")
    repositories.change(other, MODIFIED, ADDED)
    save(other, model, size, tensors)
    shutil.rmtree(other)
    return model


def save(project: Path, model: Path, size: int, tensors: int, *, bare: bool = False) -> None:
    words = ["-m", "benchmarks.checkpoints", project, model, size, tensors, *["--bare"] * bare]
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to get there and back, in a project of its own."""

    project: Path
    load: Side
    undo: Side

    def turn(self) -> tuple[Sample, Sample]:
        """There and back, from a repository that never saw the code."""
        git_folder = self.project / ".git"
        unseen = self.project.parent / "unseen.git"
        if unseen.exists():
            shutil.rmtree(git_folder)
        else:
            git_folder.rename(unseen)
        shutil.copytree(unseen, git_folder, symlinks=True)
        before = repositories.git(self.project, "status", "--porcelain", "-uall")
        load = self.load.run()
        if not (self.project / "other").is_dir():
            raise Failed("the code was not loaded")
        undo = self.undo.run()
        if repositories.git(self.project, "status", "--porcelain", "-uall") != before:
            raise Failed("undo did not come back to where load began")
        return load, undo


def _both(
    bench: Bench, project: Path, model: Path, files: int
) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    with bench.folder() as second, bench.folder() as third:
        repositories.copy(project, second / "project")
        ways = {
            "ours": _commands(project, model),
            "theirs": _git(second / "project", model),
        }
        if not bench.quick:
            repositories.copy(project, third / "project")
            ways["other way"] = _calls(third / "project", model)
        loads: dict[str, list[Sample]] = {way: [] for way in ways}
        undos: dict[str, list[Sample]] = {way: [] for way in ways}
        for turn in range(-1, min(bench.runs(), 11)):
            for way, there in ways.items():
                load, undo = there.turn()
                if turn >= 0:
                    loads[way].append(load)
                    undos[way].append(undo)
    return loads, undos


def _commands(project: Path, model: Path) -> Way:
    load, undo = ("jellyml", "load", model), ("jellyml", "undo")
    return Way(project, process(load, folder=project), process(undo, folder=project))


def _git(project: Path, model: Path) -> Way:
    """The bundle is there as a file: extracting it from the model is not counted."""
    bundle = project.parent / "model.bundle"
    extract = ("jellyml", "fix", "extract-bundle", str(model), "-o", str(bundle))
    subprocess.run(extract, check=True, stderr=subprocess.DEVNULL)
    load = (
        ("git", "stash", "-q", "-u"),
        ("git", "fetch", "-q", bundle, "HEAD"),
        ("git", "checkout", "-q", "--detach", "FETCH_HEAD"),
    )
    undo = (("git", "checkout", "-q", "main"), ("git", "stash", "pop", "-q"))
    return Way(project, process(*load, folder=project), process(*undo, folder=project))


def _calls(project: Path, model: Path) -> Way:
    workspace = Workspace(project)
    return Way(project, inside(lambda: workspace.load(model)), inside(workspace.undo))
