"""Nothing leaves a file open: one training run may take thousands of snapshots."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import jellyml
from at_the_keyboard import type_command
from conftest import Folder
from jellyml.fs import atomic, output
from jellyml.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="open files are read from /proc")


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def repeated(work: Callable[[int], object]) -> int:
    """How many more files are open after five repetitions. The first may fill caches."""
    work(0)
    before = open_files()
    for number in range(1, 6):
        work(number)
    return open_files() - before


def test_a_capture_leaves_nothing_open(repo: Folder) -> None:
    def capture(number: int) -> None:
        repo.write("train.py", str(number))
        assert jellyml.create_snapshot(repo.path).filling

    assert repeated(capture) == 0


def test_a_load_and_an_undo_leave_nothing_open(repo: Folder, tmp_path: Path) -> None:
    torch.save(dict(jellyml.create_snapshot(repo.path)), tmp_path / "model.pth")
    repo.write("train.py", "later")

    def go_and_come_back(_: int) -> None:
        Workspace(repo.path).load(tmp_path / "model.pth")
        Workspace(repo.path).undo()

    assert repeated(go_and_come_back) == 0


@pytest.mark.parametrize(
    "words", [("show", "model.pth"), ("diff", "model.pth"), ("list",), ("check", "model.pth"),
              ("history",), ("doctor",)],
)  # fmt: skip
def test_a_command_leaves_nothing_open(repo: Folder, words: tuple[str, ...]) -> None:
    torch.save(dict(jellyml.create_snapshot(repo.path)), repo.path / "model.pth")
    repo.write("train.py", "later")
    assert repeated(lambda _: type_command(*words, cwd=repo.path)) == 0


def test_a_folder_in_the_place_of_a_file_is_closed_again(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        with pytest.raises(OSError, match="directory"):
            atomic.read_plain(tmp_path)
        with pytest.raises(OSError, match="directory"), open(tmp_path, opener=atomic.no_follow):
            pass
        assert output._start(tmp_path) == b""

    assert repeated(refuse) == 0
