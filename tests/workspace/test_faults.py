"""A fault at any system call of any verb leaves the workspace as before or as after.

The quick test takes a few faults of each verb and target. The long one takes all of them on the
plain target, and on each other one a sample in which every kind of call has its share. Every
fault is followed by the next command. ``TORTURE=0.1`` takes a tenth of them, the same every time.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from faults import ERRORS, KILLS, STRACE, Bench, Fault, all_of, spread
from targets import OTHERS, PLAIN, Cases, Target
from user_edits import Edits, check
from workspaces import Case, removed

SIZE = min(1.0, float(os.environ.get("TORTURE", "1")))
PLAIN_VERBS = (
    "load", "undo", "redo", "restore", "prune 0d", "prune --all", "recovery of load",
    "recovery of undo",
)  # fmt: skip
VERBS = ("load", "undo", "redo", "recovery of load", "recovery of undo")
SAMPLE = 60  # faults of each verb of a target that is not plain

needs_strace = pytest.mark.skipif(not STRACE, reason="strace is not installed")
Record = Callable[[str, object], None]


class Known:
    """What was made of each target, once for each process of the tests."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.cases: dict[str, Cases] = {}

    def of(self, target: Target) -> Cases:
        if target.name not in self.cases:
            self.cases[target.name] = Cases(self.bench, target)
        return self.cases[target.name]

    def try_out(self, case: Case, faults: Iterable[Fault]) -> tuple[Counter[str], list[str]]:
        """The verdicts, and what went wrong; the run goes on, and tells all at its end."""
        verdicts: Counter[str] = Counter()
        failures = []
        for fault in faults:
            try:
                verdicts[case.trial(self.bench, fault)] += 1
            except Exception as error:  # noqa: BLE001 - told at the end
                failures.append(f"{case.words} with {fault}: {error!r}"[:1500])
        return verdicts, failures


def _in_memory(folder: Path) -> Path:
    """On a file system in memory, where there is one with room: a trial is half as long.

    Syncing does nothing there, and no trial can tell: a killed process loses no written byte.
    """
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30:
        return memory / f"jellyml-tests-{os.getpid()}-{folder.name}"
    return folder


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    place = _in_memory(tmp_path_factory.mktemp("bench"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        bench = Bench(place)
        yield Known(bench)
        bench.close()
    removed(place)


@needs_strace
@pytest.mark.parametrize("verb", PLAIN_VERBS)
def test_a_fault_leaves_before_or_after(known: Known, verb: str) -> None:
    case, points = known.of(PLAIN).of(verb), known.of(PLAIN).points(verb)
    assert len(points) > 40
    kills = spread(all_of(points, KILLS), 3, seed=len(verb))
    errors = spread(all_of(points, ERRORS), 2, seed=len(verb))
    _, failures = known.try_out(case, (*kills, *errors))
    assert not failures, "\n\n".join(failures)


@needs_strace
@pytest.mark.parametrize("target", OTHERS, ids=lambda one: one.name)
def test_a_fault_in_any_state_of_a_repository(known: Known, target: Target) -> None:
    """One verb of each; the verbs take turns."""
    verb = VERBS[OTHERS.index(target) % 3]
    case, points = known.of(target).of(verb), known.of(target).points(verb)
    _, failures = known.try_out(case, spread(all_of(points, KILLS + ERRORS), 3, seed=1))
    assert not failures, "\n\n".join(failures)


def edited_after(known: Known, verb: str, count: int) -> tuple[Counter[str], list[str]]:
    """Kills of jellyml, spread over the run, each followed by edits and by the next command."""
    case = known.of(PLAIN).of(verb)
    points = [one for one in known.of(PLAIN).points(verb) if one.process == 0]
    verdicts: Counter[str] = Counter()
    failures = []
    for seed, fault in enumerate(spread(all_of(points, ("KILL",)) * 9, count, seed=1)):
        case.fresh()
        known.bench.run(case.folder, case.words, fault)
        edits = Edits(case.work, seed)
        edits.make()
        try:
            verdicts[check(case, edits)] += 1
        except Exception as error:  # noqa: BLE001 - told at the end
            failures.append(f"{verb}, {fault}, seed {seed}: {error!r}"[:1500])
    return verdicts, failures


@needs_strace
def test_edits_after_a_kill_are_kept_or_named(known: Known) -> None:
    _, failures = edited_after(known, "undo", 6)
    assert not failures, "\n\n".join(failures)


@needs_strace
@pytest.mark.torture
@pytest.mark.parametrize("verb", ["load", "undo", "redo"])
def test_many_edits_after_many_kills_are_kept_or_named(
    known: Known, verb: str, record_property: Record
) -> None:
    count = max(1, round(400 * SIZE))
    verdicts, failures = edited_after(known, verb, count)
    record_property("trials", f"edits after a kill, {verb}: {count} kills, {dict(verdicts)}")
    assert not failures, "\n\n".join(failures)


@pytest.mark.skipif(os.name == "nt", reason="the git that counts is a shell script")
def test_a_fault_where_there_is_no_strace(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by Python itself, one git at a time: coarser, and it runs everywhere."""
    known = Known(Bench(_in_memory(tmp_path_factory.mktemp("counted")), strace=None))
    cases = known.of(OTHERS[0])
    points = cases.points("load")
    assert {one.call for one in points} >= {"open", "os.rename", "os.link", "os.fsync", "execve"}
    chosen = [all_of(points, KILLS), all_of(points, ERRORS)]
    faults = [fault for seed, row in enumerate(chosen) for fault in spread(row, 4, seed)]
    verdicts, failures = known.try_out(cases.of("load"), faults)
    removed(known.bench.folder)
    assert not failures, "\n\n".join(failures)
    assert verdicts["before"] > 3


@needs_strace
@pytest.mark.torture
@pytest.mark.parametrize("kind", KILLS + ERRORS)
@pytest.mark.parametrize("verb", PLAIN_VERBS)
def test_every_fault_leaves_before_or_after(
    known: Known, verb: str, kind: str, record_property: Record
) -> None:
    case, points = known.of(PLAIN).of(verb), known.of(PLAIN).points(verb)
    faults = all_of(points, (kind,))
    chosen = spread(faults, max(1, round(len(faults) * SIZE)), seed=1)
    verdicts, failures = known.try_out(case, chosen)
    told = f"plain, {verb}, {kind}: {len(chosen)} of {len(faults)} faults, {dict(verdicts)}"
    record_property("trials", told)
    assert not failures, "\n\n".join(failures)


@needs_strace
@pytest.mark.torture
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("target", OTHERS, ids=lambda one: one.name)
def test_many_faults_in_any_state_of_a_repository(
    known: Known, target: Target, verb: str, record_property: Record
) -> None:
    case, points = known.of(target).of(verb), known.of(target).points(verb)
    faults = all_of(points, KILLS + ERRORS)
    chosen = spread(faults, max(1, round(SAMPLE * SIZE)), seed=1)
    verdicts, failures = known.try_out(case, chosen)
    told = f"{target.name}, {verb}: {len(chosen)} of {len(faults)} faults, {dict(verdicts)}"
    record_property("trials", told)
    assert not failures, "\n\n".join(failures)
