"""Others at work in the same folder: nothing that anybody typed is lost."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import Folder
from faults import SOURCE, STRACE
from jellyml.workspace import Workspace
from workspaces import differing, rich, seen

needs_strace = pytest.mark.skipif(not STRACE, reason="strace is not installed")


def start(place: Path, *words: str, slow: str = "") -> "subprocess.Popen[bytes]":
    """A jellyml of its own; ``slow`` holds it for 150 ms before every call of that name."""
    before = [STRACE or "", "-qq", "-o", os.devnull, "-e", f"inject={slow}:delay_enter=150000"]
    return subprocess.Popen(
        [*(before if slow else []), sys.executable, "-m", "jellyml", *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ended(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    said = process.communicate(timeout=60)[0].decode(errors="replace")
    return process.returncode, said


@pytest.fixture
def model(folder: Folder, tmp_path: Path) -> Path:
    rich(folder, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_two_loads_at_once_are_one_after_the_other(folder: Folder, model: Path) -> None:
    before = seen(folder.path)
    both = [start(folder.path, "load", str(model)) for _ in range(2)]
    answers = [ended(one) for one in both]
    assert [status for status, _ in answers] == [0, 0], answers

    for _ in range(2):
        Workspace(folder.path).undo()
    assert not differing(before, seen(folder.path), exact=True)


def test_load_and_undo_at_once(folder: Folder, model: Path, tmp_path: Path) -> None:
    Workspace(folder.path).load(model)
    Workspace(folder.path).undo()
    before = seen(folder.path)
    Workspace(folder.path).load(model)
    both = [start(folder.path, "load", str(model)), start(folder.path, "undo")]
    assert [ended(one)[0] for one in both] == [0, 0]

    while not any("nothing to undo" in said for said in Workspace(folder.path).undo().warnings):
        pass
    assert not differing(before, seen(folder.path), exact=True)


@needs_strace
def test_git_waits_while_a_load_is_under_way(folder: Folder, model: Path) -> None:
    folder.git("add", "-A")
    process = start(folder.path, "load", str(model), slow="renameat2")
    while not (folder.path / ".git" / "index.lock").exists():
        assert process.poll() is None
    refused = subprocess.run(["git", "commit", "-qm", "mine"], cwd=folder.path, capture_output=True)
    assert ended(process)[0] == 0
    assert refused.returncode == 128
    assert b"index.lock" in refused.stderr


@pytest.mark.parametrize("how", ["in place", "by replacement", "through an open handle"])
@needs_strace
def test_what_is_typed_meanwhile_is_kept_and_named(
    folder: Folder, model: Path, tmp_path: Path, how: str
) -> None:
    typist = Typist(folder.path, how)
    with typist.at_work("train.py", "private.txt", "added/by/load.py"):
        load = ended(start(folder.path, "load", str(model), slow="renameat2"))
        undo = ended(start(folder.path, "undo", slow="renameat2"))
    assert (load[0], undo[0]) == (0, 0), (load, undo)
    missing = typist.missing()
    assert not missing, (missing, load, undo)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")
def test_an_open_handle_goes_on_writing_to_a_file_that_is_named(
    folder: Folder, model: Path
) -> None:
    with (folder.path / "private.txt").open("ab", buffering=0) as handle:
        outcome = Workspace(folder.path).load(model)
        handle.write(b"after the load")

    (warning,) = (one for one in outcome.warnings if "rescue" in one)
    rescued = Path(warning.rpartition(" ")[2].rstrip("."))
    assert rescued.name == "private.txt"
    assert rescued.read_bytes() == b"untracked\nafter the load"


class Typist:
    """Appends numbered words to files, over and over; every word has to be somewhere later."""

    def __init__(self, place: Path, how: str) -> None:
        self.place = place
        self.how = how
        self.typed: list[bytes] = []

    @contextmanager
    def at_work(self, *names: str) -> Iterator[None]:
        over = threading.Event()
        hands = [threading.Thread(target=self._type, args=(name, over)) for name in names]
        for hand in hands:
            hand.start()
        try:
            yield
        finally:
            over.set()
            for hand in hands:
                hand.join()

    def _type(self, name: str, over: threading.Event) -> None:
        path, number = self.place / name, 0
        handle = (
            path.open("ab", buffering=0)
            if self.how == "through an open handle" and path.exists()
            else None
        )
        while not over.is_set():
            word = f"<{name}-{number}>".encode()
            number += 1
            try:
                if handle:
                    handle.write(word)
                elif self.how == "by replacement":
                    beside = path.with_name(f"{path.name}~")
                    beside.write_bytes(path.read_bytes() + word)
                    beside.replace(path)
                else:
                    with path.open("ab", buffering=0) as file:
                        file.write(word)
            except FileNotFoundError:
                time.sleep(0.001)
                continue
            self.typed.append(word)
            time.sleep(0.002)
        if handle:
            handle.close()

    def missing(self) -> list[bytes]:
        """Words that are in no file, no rescue folder and no state."""
        store = Workspace(self.place).folder.parents[1] / "store"
        ids = subprocess.run(
            ["git", "--git-dir", store, "rev-list", "--objects", "--all"], capture_output=True
        ).stdout
        asked = b"".join(row.split()[0] + b"\n" for row in ids.splitlines())
        held = subprocess.run(
            ["git", "--git-dir", store, "cat-file", "--batch"], input=asked, capture_output=True
        ).stdout
        for path in self.place.rglob("*"):
            if path.is_file() and not path.is_symlink():
                held += path.read_bytes()
        return [word for word in self.typed if word not in held]
