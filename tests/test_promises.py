"""``docs/promises.md`` names tests that exist, and every promise has one."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = [
    line
    for line in (HERE.parent / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
]


@pytest.mark.parametrize("row", ROWS)
def test_a_promise_is_held_by_a_test(row: str) -> None:
    held = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", row)
    assert held
    for module, function in held:
        source = (HERE / module).read_text()
        assert re.search(rf"^def {function or 'test_'}", source, re.MULTILINE)
