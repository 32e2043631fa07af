"""Every command stays within its budget on small files that would take far more."""

import sys
import time
from pathlib import Path

import pytest

import large_arrays
from jellyml.budget import Budget, Exhausted
from jellyml.compare.tensors import compare
from jellyml.tensors import arrays_of
from limits import run_limited

CASES = {**large_arrays.CASES}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("name", CASES)
def test_a_command_stays_within_its_budget(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    words = case.build(tmp_path)
    used = run_limited(*words, cwd=tmp_path, timeout=10 * case.seconds)
    assert case.says in used.text, used.text[-2000:]
    assert used.mib < case.mib, used.text[-2000:]
    assert used.seconds < case.seconds, used.text[-2000:]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_no_limits_lifts_them_for_ones_own_files(tmp_path: Path) -> None:
    words = CASES["an index of lists"].build(tmp_path)
    used = run_limited(*words, "--no-limits", cwd=tmp_path, timeout=100)
    assert "are the same: 1 array" in used.text, used.text[-2000:]


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (large_arrays.nodes(10), (32 << 20, None, None)),
        (large_arrays.one_state(20_000), (None, None, 1_000_000)),
        (large_arrays.one_state(20_000), (None, 0.5, None)),
    ],
    ids=["memory", "steps", "seconds"],
)
def test_a_pickle_is_given_up_by_its_charges_alone(
    data: bytes, limits: tuple[int | None, float | None, int | None], tmp_path: Path
) -> None:
    (tmp_path / "m").write_bytes(data)
    began = time.process_time()
    with pytest.raises(Exhausted):
        arrays_of(tmp_path / "m", Budget(*limits))
    assert time.process_time() - began < 10


def test_pairs_of_names_are_charged(tmp_path: Path) -> None:
    for side in "ab":
        (tmp_path / side).write_bytes(large_arrays.unlike(side, 6400))
    one, other = (arrays_of(tmp_path / side) for side in "ab")
    with pytest.raises(Exhausted):
        compare(one, other, budget=Budget(memory=16 << 20, seconds=None))
