"""Every command stays within its budget on small files that would take far more."""

import sys
from pathlib import Path

import pytest

import large_arrays
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
