"""``jellyml record``: capture, run the command, fill what it wrote, return its status."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from jellyml.capture.create import create_snapshot
from jellyml.errors import JellyError, UnsafeToContinue, pasteable
from jellyml.recorder import process, run_state
from jellyml.recorder.fill_outputs import Live, Result, fill_written
from jellyml.recorder.outputs import look
from jellyml.recorder.run_manifest import of_command
from jellyml.recorder.run_state import RunState
from jellyml.repo.repository import Repository
from jellyml.secrets.redact import mask_arguments
from jellyml.workspace.results import Finding

_MIXED = (
    "another recorded command writes below the same folder, and nobody can tell whose it is. "
    "Fix: give each command a folder of its own with --watch"
)


@dataclass
class Recorded:
    """How the command ended, and the result for each checkpoint that it wrote."""

    status: int = 0  # negative for a signal
    commit: str | None = None
    results: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False


Say = Callable[[str], None]


def record(
    command: Sequence[str],
    *,
    code_dir: Path,
    folders: Sequence[Path],
    live: bool,
    say: Say,
) -> Recorded:
    """Run ``command`` and fill what it writes below ``folders``.

    An error of the capture or the filling is in ``problems``, and the command runs anyway. Raises
    only NotStarted.
    """
    recorded = Recorded()
    run = _prepare(command, code_dir, folders, recorded)
    with ExitStack() as stack:
        repository = _keep_state(run, code_dir, stack, recorded) if run else None
        if run and repository:
            _note_others(run, repository)
            _note_left(run, repository, say)
        watching = Live(run) if run and live else None
        with watching.meanwhile() if watching else nullcontext():
            try:
                recorded.status = process.run(command, run.started if run else lambda _: None)
            except BaseException:
                if run:
                    run.done()
                raise
        if run:
            run.has_ended(time.time())
            _finish(run, recorded)
    return recorded


def resume(code_dir: Path, folders: Sequence[Path] = ()) -> list[Recorded]:
    """Finish the runs whose record was killed. Raises NotARepository, UnsafeToContinue.

    Only files in the repository's working tree and in ``folders`` are filled, since the record of
    a run may be part of an untrusted folder.
    """
    done = []
    repository = Repository.find(code_dir)
    named = [repository.root, *(folder.resolve() for folder in folders)]
    for run, _ in run_state.interrupted(repository):
        outside = run.outside(named)
        if outside:
            raise UnsafeToContinue(
                f"An interrupted record watched {outside[0]}, which is not in {repository.root}."
                " Nothing was changed.",
                f"if that was you: {_resume_command(run, named, code_dir)}",
            )
        if run.child and run.runs():
            raise UnsafeToContinue(
                f"The command of an interrupted record still runs, as process {run.child[0]}.",
                "wait until it has ended, then try again.",
            )
        run.sweep(named)
        recorded = Recorded()
        _finish(run, recorded, within=named)
        done.append(recorded)
    return done


def unfinished(code_dir: Path) -> Iterator[Finding]:
    """Yield the runs that ``resume`` can finish, now or later. Raises NotARepository."""
    repository = Repository.find(code_dir)
    with suppress(OSError):  # on a read-only medium no run can be finished
        for run, _ in run_state.interrupted(repository):
            command = _resume_command(run, [repository.root], code_dir)
            name = pasteable(" ".join(run.command))
            if run.runs():
                problem = f"The record of {name} was interrupted; the command itself still runs."
                fix = f"when it has ended: {command}"
                yield Finding(problem, False, fix, expected=True)
            else:
                problem = f"The record of {name} was interrupted, so not all it wrote carries code."
                yield Finding(problem, False, command)


def _resume_command(run: RunState, named: Sequence[Path], code_dir: Path) -> str:
    """Return the command that finishes a run, with the folders it watched elsewhere."""
    here = "" if code_dir == Path() else f" -c {pasteable(code_dir)}"
    watched = "".join(f" --watch {pasteable(one)}" for one in run.outside(named))
    return f"jellyml record --resume{here}{watched}"


def _prepare(
    command: Sequence[str], code_dir: Path, folders: Sequence[Path], recorded: Recorded
) -> RunState | None:
    """Capture the code and scan the folders. Returns None, with a problem, if that fails."""
    import warnings

    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            original = create_snapshot(code_dir)
        recorded.problems += [str(one.message) for one in warned]
        if not original.filling:
            return None
        recorded.commit = original.commit
        snapshot = of_command(original, command, code_dir.absolute())
        places = [folder.resolve() for folder in folders]
        files = look(places)
        if not files.whole:
            recorded.problems.append(
                f"More than {len(files.files)} files are below these folders; name the folder of "
                "the checkpoints with --watch."
            )
        return RunState(mask_arguments(command), places, snapshot, files.marks())
    except Exception as error:  # noqa: BLE001 (the command runs anyway)
        recorded.problems.append(f"The code was not captured. {error}")
        return None


def _keep_state(
    run: RunState, code_dir: Path, stack: ExitStack, recorded: Recorded
) -> Repository | None:
    try:
        repository = Repository.find(code_dir)
        stack.enter_context(run.kept(repository))
    except (JellyError, OSError) as error:
        recorded.problems.append(f"If this is killed, it cannot be resumed: {error}")
        return None
    return repository


def _note_left(run: RunState, repository: Repository, say: Say) -> None:
    with suppress(JellyError, OSError):
        if any(True for _ in run_state.interrupted(repository)):
            say("An earlier record was interrupted; jellyml record --resume finishes it.")


def _note_others(run: RunState, repository: Repository) -> None:
    """Mark this run and the runs that watch the same folders as mixed.

    The one that starts second marks both, since either may be gone when the other ends. A run whose
    command started this process is not marked: what this process writes is part of its output.
    """
    with suppress(JellyError, OSError):
        for other in run_state.running(repository):
            if other.place != run.place and run.overlaps(other):
                run.mix()
                if not other.is_above():
                    other.mix()


def _finish(run: RunState, recorded: Recorded, within: Sequence[Path] | None = None) -> None:
    """Fill what the run wrote; with ``within``, only what is in those folders after links."""
    recorded.commit = run.snapshot.commit
    try:
        files = look(run.folders)
        if not files.whole:
            recorded.problems.append(
                "Not all files could be scanned; name the folder of the checkpoints with --watch."
            )
        mixed = _MIXED if run.mixed else ""
        written = run.of_the_run(files)
        outside = {path for path in written if within and not run_state.is_below(path, within)}
        recorded.results += map(_behind_a_link, sorted(outside))
        written = [path for path in written if path not in outside]
        for result in fill_written(written, run, mixed=mixed):
            recorded.results.append(result)
        if not outside:
            run.done()
    except KeyboardInterrupt:
        recorded.interrupted = True
    except Exception as error:  # noqa: BLE001 (the command's status is kept)
        recorded.problems.append(f"The checkpoints were not filled. {error}")


def _behind_a_link(path: Path) -> Result:
    fix = f"jellyml record --resume --watch {pasteable(path.parent.resolve())}"
    return Result(path, "not filled", f"a link leads there. Fix: {fix}")
