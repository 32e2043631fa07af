"""What is passed wrongly is a JellyError with a fix, not whatever Python says of it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import jellyml
from conftest import Folder
from jellyml import eat, undo
from jellyml.errors import GitError, JellyError, UsageError
from jellyml.repo.repository import Repository
from jellyml.workspace import Workspace

NO_PATH: object = 3


@pytest.mark.parametrize(
    "act",
    [
        lambda: jellyml.create_snapshot(group=NO_PATH),  # type: ignore[arg-type]
        lambda: jellyml.create_snapshot(NO_PATH),  # type: ignore[arg-type]
        lambda: eat.eat(eat.EatArgsWithModel_dataclass(model=None)),  # type: ignore[arg-type]
        lambda: eat.eat(eat.EatArgsWithModel_dataclass("m.pth", code_dir=NO_PATH)),  # type: ignore[arg-type]
        lambda: undo.undo(undo.UndoArgs_dataclass(code_dir=NO_PATH)),  # type: ignore[arg-type]
        lambda: Workspace(NO_PATH),  # type: ignore[arg-type]
        lambda: Workspace().load("a\0b"),
        lambda: Workspace().load("m.pth", to=NO_PATH),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_path_or_group(
    repo: Folder, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> None:
    monkeypatch.chdir(repo.path)
    with pytest.raises(JellyError) as caught:
        act()
    assert caught.value.fix


@pytest.mark.parametrize("words", [("undo",), ("history",), ("load", "m.pth"), ("doctor",)])
def test_a_current_folder_that_is_gone(tmp_path: Path, words: tuple[str, ...]) -> None:
    gone = tmp_path / "gone"
    code = (
        f"import os; os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        f"from jellyml.cli import dispatch; raise SystemExit(dispatch.run({words!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == UsageError.exit_code, done.stderr
    assert "The current folder is gone." in done.stderr
    assert "Fix: go to one that is there (cd ~)" in done.stderr


def test_only_why_git_stopped_is_told(repo: Folder) -> None:
    program = repo.write(
        "bin/git", "#!/bin/sh\nprintf 'warning: a\\nfatal: b\\nwarning: c\\n' >&2; exit 128\n"
    )
    git = Repository.find(repo.path).git
    program.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{program.parent}:{path}"
    try:
        with pytest.raises(GitError) as caught:
            git.run("status")
    finally:
        os.environ["PATH"] = path
    assert caught.value.problem == "git status failed: fatal: b."
