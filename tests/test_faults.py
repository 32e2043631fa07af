"""A fault at any system call of any verb leaves the workspace as before or as after.

The quick test takes a few faults of each verb, the long one all of them, each followed by the
next command. ``TORTURE=0.1`` takes a tenth of them, the same tenth every time.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults import STRACE, Bench, all_of, some
from workspaces import Case, cases

VERBS = ("load", "undo", "redo", "restore", "recovery of load", "recovery of undo")
KILLS = ("KILL", "KILL ALL")
ERRORS = ("EIO", "EACCES", "ENOSPC")

pytestmark = pytest.mark.skipif(
    not STRACE or not sys.platform.startswith("linux"), reason="strace is not installed"
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        yield Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def known(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return cases(bench, tmp_path_factory.mktemp("cases"))


@pytest.mark.parametrize("verb", VERBS)
def test_a_fault_leaves_before_or_after(
    bench: Bench, known: dict[str, Case], tmp_path: Path, verb: str
) -> None:
    case, place = known[verb], tmp_path / "work"
    points = bench.points(case.fresh(place), case.words)
    assert len(points) > 50
    kills = some(all_of(points, KILLS), 3, seed=len(verb))
    errors = some(all_of(points, ERRORS), 2, seed=len(verb))
    for fault in (*kills, *errors):
        try:
            case.trial(bench, place, fault)
        except AssertionError as error:
            pytest.fail(f"{verb} with {fault}: {error}")


@pytest.mark.torture
@pytest.mark.parametrize("kind", KILLS + ERRORS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_fault_leaves_before_or_after(
    bench: Bench,
    known: dict[str, Case],
    tmp_path: Path,
    verb: str,
    kind: str,
    record_property: Callable[[str, object], None],
) -> None:
    case, place = known[verb], tmp_path / "work"
    faults = all_of(bench.points(case.fresh(place), case.words), (kind,))
    count = max(1, round(len(faults) * min(1.0, float(os.environ.get("TORTURE", "1")))))
    verdicts: Counter[str] = Counter()
    failures = []
    for fault in some(faults, count, seed=1):
        try:
            verdicts[case.trial(bench, place, fault)] += 1
        except Exception as error:  # noqa: BLE001 - the run goes on, and tells all at its end
            failures.append(f"{fault}: {error}"[:1500])
    record_property("trials", f"{verb}, {kind}: {count} faults, {dict(verdicts)}")
    assert not failures, "\n\n".join(failures)
