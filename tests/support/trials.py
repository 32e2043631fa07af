"""Say at the end of a run how many trials the long tests made."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter") -> None:
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    lines = [value for one in reports for name, value in one.user_properties if name == "trials"]
    if lines:
        terminalreporter.section("trials")
        for line in sorted(lines):
            terminalreporter.line(line)
