"""Starting imports nothing heavy. `benchmarks/rows/startup.py` measures how long it takes."""

import json
import subprocess
import sys

import pytest

from at_the_keyboard import ROOT, environment

HEAVY = {"torch", "numpy", "rich", "platformdirs", "sklearn"}


def modules_after(code: str) -> set[str]:
    shown = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport json, sys\nprint('\\n' + json.dumps([*sys.modules]))",
        ],
        env=environment(),
        check=True,
        capture_output=True,
    ).stdout
    return set(json.loads(shown.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import jellyml",
        "import jellyml.cli; jellyml.cli.main(['--help'])",
        "import jellyml.cli; jellyml.cli.main(['eat', '-h'])",
        "import jellyml.cli; jellyml.cli.main(['load', 'missing.pth'])",
        "import jellyml.cli; jellyml.cli.main(['history', '-c', '/'])",
        "import jellyml.eat, jellyml.undo, jellyml.git, jellyml.extract_bundle",
        "import jellyml; jellyml.create_snapshot, jellyml.Workspace, jellyml.JellyError",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert not modules_after(code) & HEAVY


@pytest.mark.parametrize("command", ["show", "list", "log", "check"])
def test_a_pipe_gets_its_lines_without_rich(command: str) -> None:
    model = ROOT / "tests" / "fixtures" / "written_by_1_0_dirty.pth"
    code = f"import jellyml.cli; jellyml.cli.main([{command!r}, {str(model)!r}])"
    assert "rich" not in modules_after(code)


def test_saving_loads_no_format() -> None:
    """Of the formats' package, only what names the two keys and the usual file names."""
    modules = modules_after("import jellyml; jellyml.create_snapshot")
    formats = {name for name in modules if name.startswith("jellyml.formats.")}
    assert formats == {f"jellyml.formats.{name}" for name in ("record", "source", "signatures")}


def test_importing_the_package_imports_nothing_else_of_ours() -> None:
    assert {name for name in modules_after("import jellyml") if "jellyml" in name} == {"jellyml"}


def test_the_version_is_the_changelogs_newest() -> None:
    import jellyml

    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = next(line for line in changelog.splitlines() if line.startswith("## ") and "." in line)
    assert newest.split()[1] == jellyml.__version__
