"""``docs/promises.md`` names tests that can fail, and each promise has one in `make test`."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = [
    line
    for line in (HERE.parent / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| ---"))
]
_CHECKS = ("pytest.raises", "pytest.warns", "hypothesis", "run_state_machine_as_test")


@cache
def functions(module: Path) -> dict[str, ast.AST]:
    """Every function and class of a module by its name, methods among them."""
    found = ast.walk(ast.parse(module.read_text()))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {one.name: one for one in found if isinstance(one, kinds)}


def can_fail(name: str, module: Path, seen: frozenset[str] = frozenset()) -> bool:
    """It asserts something, or calls something of the tests that does."""
    body = functions(module).get(name)
    if body is None or name in seen:
        return False
    text = ast.unparse(body)
    if any(isinstance(one, ast.Assert) for one in ast.walk(body)) or any(
        check in text for check in _CHECKS
    ):
        return True
    names = {one.id for one in ast.walk(body) if isinstance(one, ast.Name)}
    names |= {one.attr for one in ast.walk(body) if isinstance(one, ast.Attribute)}
    return any(
        can_fail(one, other, seen | {name})
        for other in HERE.rglob("*.py")
        for one in names & functions(other).keys()
    )


def is_quick(name: str, module: Path) -> bool:
    body = functions(module)[name]
    assert isinstance(body, ast.FunctionDef)
    marks = " ".join(map(ast.unparse, body.decorator_list))
    return "torture" not in marks and "xfail" not in marks


@pytest.mark.parametrize("row", ROWS)
def test_a_promise_is_held_by_a_test(row: str) -> None:
    held = re.findall(r"`((?:\w+/)?test_\w+\.py)(?:::(test_\w+))?`", row)
    assert held
    tests = [
        (name, HERE / module)
        for module, function in held
        for name in ([function] if function else functions(HERE / module))
        if name.startswith("test_")
    ]
    assert {module for module, _ in held} == {
        module.relative_to(HERE).as_posix() for _, module in tests
    }
    assert all(can_fail(*one) for one in tests), [one for one in tests if not can_fail(*one)]
    assert any(is_quick(*one) for one in tests)


def test_one_that_cannot_fail_is_told(tmp_path: Path) -> None:
    module = tmp_path / "test_nothing.py"
    module.write_text("def test_a():\n    print(1)\n\n\ndef test_b():\n    assert 1\n")
    assert not can_fail("test_a", module)
    assert can_fail("test_b", module)
    assert not can_fail("test_of_no_name", module)
