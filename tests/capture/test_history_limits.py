"""Whether history goes in depends on the repository alone, never on the clock."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import Folder
from jellyml.capture import history_limits
from jellyml.capture.capture import Options, capture
from jellyml.capture.history_limits import HistoryLimits, cost_of_counting

LOOSE = 5_000


@pytest.fixture
def many(repo: Folder) -> Folder:
    """A repository with one commit and many loose objects."""
    for number in range(LOOSE):
        repo.write(f"data{number % 50}/{number}.txt", str(number))
    repo.commit("many files")
    return repo


def spin() -> None:
    while True:
        pass


@contextmanager
def busy() -> Iterator[None]:
    """Keep every core busy with several processes."""
    workers = [multiprocessing.Process(target=spin) for _ in range(os.cpu_count() or 1)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def taken(path: Path) -> tuple[str | None, str, bytes]:
    """Capture without the cache."""
    snapshot = capture(path, Options(), None)
    return snapshot.facts.commit, snapshot.facts.cut, snapshot.filling


def test_a_busy_machine_captures_the_same(many: Folder) -> None:
    quiet = taken(many.path)
    assert quiet[1] == ""
    with busy():
        assert {taken(many.path) for _ in range(20)} == {quiet}


def test_a_git_that_is_slow_to_count_keeps_its_history(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = next(
        Path(place) / "git" for place in os.environ["PATH"].split(os.pathsep)
        if (Path(place) / "git").exists()
    )  # fmt: skip
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *pack-objects*) sleep 2;; esac\nexec {real} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    start = time.monotonic()
    _, cut, _ = taken(repo.path)
    assert time.monotonic() - start > 2
    assert cut == ""


def test_loose_objects_cost_more_than_packed_ones(many: Folder) -> None:
    objects = many.path / ".git/objects"
    loose = cost_of_counting(objects)
    assert 0.6 * LOOSE * history_limits._LOOSE < loose < 1.5 * LOOSE * history_limits._LOOSE
    many.git("gc", "-q")
    packed = cost_of_counting(objects)
    assert LOOSE < packed < 1.1 * LOOSE
    many.git("repack", "-adbq")
    assert list(objects.glob("pack/*.bitmap"))
    assert cost_of_counting(objects) == 0


def test_borrowed_objects_count(many: Folder, tmp_path: Path) -> None:
    clone = Folder(tmp_path / "clone")
    many.git("clone", "-q", "--shared", str(many.path), str(clone.path))
    assert cost_of_counting(clone.path / ".git/objects") >= cost_of_counting(
        many.path / ".git/objects"
    )
    loop = clone.path / ".git/objects/info/alternates"
    loop.write_text("../objects\n# a comment\n/nowhere\n")
    assert cost_of_counting(clone.path / ".git/objects") >= 0


def test_too_many_objects_leave_the_history_out(many: Folder) -> None:
    limits = HistoryLimits(objects=LOOSE)
    facts = capture(many.path, Options(history_limits=limits), None).facts
    assert "too many objects to count" in facts.cut
    many.git("repack", "-adbq")
    assert capture(many.path, Options(history_limits=limits), None).facts.cut == ""
