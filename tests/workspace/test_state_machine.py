"""A user and JellyML on one repository, and a plain list of what was, beside them."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import fingerprint
import jellyml
import worktrees
from conftest import Folder
from jellyml.workspace import Workspace
from jellyml.workspace.operation_log import Journal, Operation

SIZE = float(os.environ.get("TORTURE", "1"))
QUIET = list(HealthCheck)


Steps = list[tuple[str, bytes, bytes, str]]
any_tree = given(committed=worktrees.edits, dirty=worktrees.edits, later=worktrees.edits)


@settings(max_examples=20, deadline=None, suppress_health_check=QUIET)
@any_tree
def test_any_working_tree_comes_back(committed: Steps, dirty: Steps, later: Steps) -> None:
    check_round_trip(committed, dirty, later)


@pytest.mark.torture
@settings(max_examples=int(600 * SIZE), deadline=None, suppress_health_check=QUIET)
@any_tree
def test_any_working_tree_comes_back_at_length(
    committed: Steps, dirty: Steps, later: Steps
) -> None:
    check_round_trip(committed, dirty, later)


def check_round_trip(committed: Steps, dirty: Steps, later: Steps) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        round_trip(Path(scratch), committed, dirty, later)


def round_trip(scratch: Path, committed: Steps, dirty: Steps, later: Steps) -> None:
    """Load after capture gives the same files; undo gives everything back, index included."""
    folder = Folder(scratch / "work")
    folder.path.mkdir()
    folder.git("init", "-q", "-b", "main")
    for step in committed:
        worktrees.edit(folder, *step)
    if committed:
        folder.commit()
    for step in dirty:
        worktrees.edit(folder, *step)
    before = fingerprint.workspace(folder)
    captured = fingerprint.files(folder.path)
    snapshot = jellyml.create_snapshot(folder.path, strict=True)
    assert fingerprint.workspace(folder) == before
    torch.save({**snapshot}, scratch / "model.pth")
    for step in later:
        worktrees.edit(folder, *step)
    changed = fingerprint.workspace(folder)

    Workspace(folder.path).load(scratch / "model.pth", unrelated=True)
    assert as_code(fingerprint.files(folder.path)) == as_code(captured)
    assert folder.git("status", "--porcelain") == b""
    Workspace(folder.path).undo()

    assert fingerprint.workspace(folder) == changed


def as_code(files: dict[str, object]) -> dict[str, object]:
    """Without what git does not hold: folders, and of a mode all but the x."""
    kept: dict[str, object] = {}
    for name, entry in files.items():
        match entry:
            case ("file", str(mode), content):
                kept[name] = (bool(int(mode, 8) & 0o100), content)
            case ("link", target):
                kept[name] = target
    return kept


class UserAndJelly(RuleBasedStateMachine):
    """Rules are what a user may do; the lists say what undo, redo and restore must bring."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Folder(Path(self.scratch.name, "work"))
        self.folder.path.mkdir()
        self.models: list[Path] = []
        self.undo_to: list[dict[str, object]] = []
        self.redo_to: list[dict[str, object]] = []
        self.states: dict[int, dict[str, object]] = {}

    def teardown(self) -> None:
        self.scratch.cleanup()

    @initialize()
    def begin(self) -> None:
        self.folder.git("init", "-q", "-b", "main")
        self.folder.write("a.py", "begin\n")
        self.folder.write(".gitignore", "*.log\n")
        self.folder.write("noise.log", "ignored\n")
        self.folder.commit("begin")
        self.capture()

    # What a user does.

    @rule(step=worktrees.edits)
    def edit(self, step: list[tuple[str, bytes, bytes, str]]) -> None:
        for one in step[:4]:
            worktrees.edit(self.folder, *one)

    @rule()
    def commit(self) -> None:
        self.folder.git("add", "-A", check=False)
        self.folder.git("commit", "-qm", "more", check=False)

    @rule()
    def stash(self) -> None:
        self.folder.git("stash", "push", "-q", "-u", check=False)

    @rule(name=st.sampled_from(["main", "side", "third"]))
    def branch(self, name: str) -> None:
        self.folder.git("branch", name, check=False)
        self.folder.git("switch", "-q", name, check=False)

    @rule()
    def collect_garbage(self) -> None:
        self.folder.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
        self.folder.git("gc", "-q", "--prune=now")

    @precondition(lambda self: len(self.models) < 3)
    @rule()
    def capture(self) -> None:
        before = fingerprint.workspace(self.folder)
        snapshot = jellyml.create_snapshot(self.folder.path, strict=True)
        assert fingerprint.workspace(self.folder) == before
        path = Path(self.scratch.name, f"model-{len(self.models)}.pth")
        torch.save({**snapshot}, path)
        self.models.append(path)

    # What JellyML does.

    @rule(number=st.integers(0, 2))
    def load(self, number: int) -> None:
        before = self.seen()
        Workspace(self.folder.path).load(self.models[number % len(self.models)], unrelated=True)
        self.undo_to.append(before)
        self.redo_to.clear()
        self.note(before)

    @rule()
    def undo(self) -> None:
        before = self.seen()
        outcome = Workspace(self.folder.path).undo()
        if not self.undo_to:
            assert outcome.warnings == ("There is nothing to undo.",)
            return
        assert self.seen() == self.undo_to.pop()
        self.redo_to.append(before)
        self.note(before)

    @rule()
    def redo(self) -> None:
        before = self.seen()
        Workspace(self.folder.path).redo()
        if self.redo_to:
            assert self.seen() == self.redo_to.pop()
            self.undo_to.append(before)
            self.note(before)

    @rule(pick=st.integers(0, 1000))
    def restore(self, pick: int) -> None:
        if not self.states:  # no precondition: how many there are depends on when a kill came
            return
        before = self.seen()
        number = sorted(self.states)[pick % len(self.states)]
        Workspace(self.folder.path).restore(number)
        assert self.seen() == self.states[number]
        self.undo_to.append(before)
        self.redo_to.clear()
        self.note(before)

    @rule(number=st.integers(0, 2), milliseconds=st.integers(80, 500))
    def crash(self, number: int, milliseconds: int) -> None:
        """A load is killed somewhere; undo makes it as before, or goes back if it was done."""
        before = self.seen()
        model = self.models[number % len(self.models)]
        done = self.killed("load", str(model), after=milliseconds / 1000)
        Workspace(self.folder.path).undo() if done else self.repair()
        assert self.seen() == before
        if done:
            self.redo_to.clear()
            self.redo_to.append(self.loaded)

    def killed(self, *command: str, after: float) -> bool:
        """Run a command and kill it; True when it had come to its end."""
        count = len(self.operations())
        process = subprocess.Popen(
            [sys.executable, "-m", "jellyml", *command],
            cwd=self.folder.path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        new = self.operations()[count:]
        done = bool(new) and new[-1].status == "done"
        if done:
            self.repair()
            self.loaded = self.seen()
        return done

    def repair(self) -> None:
        Workspace(self.folder.path).history()

    # Beside it.

    def operations(self) -> list[Operation]:
        return Journal(self.folder.path / ".git/jellyml/main/ops").operations()

    def note(self, before: dict[str, object]) -> None:
        last = self.operations()[-1]
        self.states[last.before] = before
        if last.after:
            self.states[last.after] = self.seen()

    def seen(self) -> dict[str, object]:
        """What must come back: files, index, where HEAD stands, and the stash."""
        side = fingerprint.git_side(self.folder)
        commit = self.folder.git("rev-parse", "-q", "--verify", "HEAD", check=False)
        files = fingerprint.files(self.folder.path)
        return {"files": files, "index": side["index"], "commit": commit}

    @invariant()
    def ignored_files_lie_still(self) -> None:
        if self.models:
            assert self.folder.read("noise.log") == b"ignored\n"

    @invariant()
    def nothing_is_left_behind(self) -> None:
        git_dir = self.folder.path / ".git"
        assert not list(git_dir.rglob("*.lock"))


def test_user_and_jelly() -> None:
    run_state_machine_as_test(
        UserAndJelly,
        settings=settings(
            max_examples=4, stateful_step_count=15, deadline=None, suppress_health_check=QUIET
        ),
    )


@pytest.mark.torture
def test_user_and_jelly_at_length() -> None:
    run_state_machine_as_test(
        UserAndJelly,
        settings=settings(
            max_examples=int(150 * SIZE),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=QUIET,
            print_blob=True,
        ),
    )
