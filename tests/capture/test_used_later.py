"""Code that is imported after the capture, by real runs that go on to save."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import jellyml
from captures import taken
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.formats.record import MANIFEST_KEY
from jellyml.repo.git import Git
from jellyml.snapshot import serialization
from jellyml.snapshot.manifest import Manifest
from jellyml.snapshot.snapshot import Snapshot

SRC = Path(jellyml.__file__).parents[1]
RUN = """
import jellyml, torch
snapshot = jellyml.create_snapshot()
torch.save({**snapshot}, "first.pth")
import lib.net, new, local, loose, shared
torch.save({**snapshot}, "spread.pth")
torch.save({**snapshot.with_notes({"epoch": 1})}, "noted.pth")
torch.save({"w": torch.zeros(1)}, "filled.pth")
jellyml.fill("filled.pth", snapshot)
torch.save({**snapshot}, "spread_again.pth")
"""


def later(path: Path) -> list[str]:
    return Manifest(Checkpoint.open(path).manifest).used_later


def imported(
    monkeypatch: pytest.MonkeyPatch, repo: Folder, name: str = "local.py", text: str = "late"
) -> str:
    module = ModuleType(name)
    module.__file__ = str(repo.write(name, text))
    monkeypatch.setitem(sys.modules, name, module)
    return name


@pytest.fixture
def snapshot(repo: Folder) -> Snapshot:
    repo.write(".gitignore", "local*.py\n")
    repo.commit()
    return taken(repo.path)


@pytest.mark.parametrize("errors", [False, True])
def test_late_imports_are_in_each_later_save(repo: Folder, tmp_path: Path, errors: bool) -> None:
    shared = Folder(tmp_path / "shared")
    shared.path.mkdir()
    shared.git("init", "-q")
    shared.write("shared.py")
    shared.write("begun.py")
    shared.commit()
    loose = Folder(tmp_path / "loose").write("loose.py")
    repo.write(".gitignore", "local.py\n*.pth\n")
    repo.write("train.py", "import begun\n" + RUN)
    repo.commit()
    repo.write("new.py")
    repo.write("local.py", "late = 1\n")

    done = subprocess.run(
        [sys.executable, *(("-W", "error::UserWarning") if errors else ()), "train.py"],
        cwd=repo.path,
        env=os.environ | {"PYTHONPATH": f"{SRC}:{shared.path}:{loose.parent}"},
        capture_output=True,
        check=False,
    )

    assert not done.returncode, done.stderr
    assert later(repo.path / "first.pth") == []
    expected = ["local.py", str(loose), str(shared.path / "shared.py")]
    names = ("spread.pth", "noted.pth", "filled.pth", "spread_again.pth")
    for name in names:
        assert later(repo.path / name) == expected
    saved = [Checkpoint.open(repo.path / name) for name in ("first.pth", *names)]
    assert len({one.header.commit for one in saved}) == 1
    assert len({one.filling_size for one in saved}) == 1
    if not errors:
        text = done.stderr.decode()
        assert text.count("local.py: imported after the capture; not in the snapshot") == 1
        assert text.count("loose.py: imported after the capture; not in the snapshot") == 1
        assert "shared.py: imported after" not in text  # its repository is recorded


def test_the_tensors_follow(
    repo: Folder, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, filling = dict(snapshot), snapshot.filling
    imported(monkeypatch, repo)

    after = dict(snapshot)

    record = bytes(after[MANIFEST_KEY].numpy())
    assert record == snapshot.manifest != bytes(before[MANIFEST_KEY].numpy())
    assert snapshot.filling == filling
    assert torch.equal(before["jellyml_code_snapshot"], after["jellyml_code_snapshot"])
    assert Manifest(serialization.parse_manifest(record)).used_later == ["local.py"]
    assert MANIFEST_KEY in snapshot.safetensors_metadata
    assert snapshot.report[-1] == "local.py: imported after the capture; not in the snapshot"


def test_it_starts_no_git_and_nothing_without_new_modules(
    repo: Folder, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise AssertionError("a git was started")

    monkeypatch.setattr(Git, "start", fails)
    imported(monkeypatch, repo)
    imported(monkeypatch, repo, "train.py", "print(9)\n")
    assert snapshot.report == ("local.py: imported after the capture; not in the snapshot",)
    looks: list[int] = []

    def look() -> list[object]:
        looks.append(1)
        return []

    monkeypatch.setattr("jellyml.capture.used_later.used_files", look)
    assert snapshot.manifest is snapshot.manifest
    assert looks == []


def test_a_failed_look_ends_no_save(
    repo: Folder, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise RuntimeError("no modules")

    before = snapshot.manifest
    monkeypatch.setattr("jellyml.capture.used_later.used_files", fails)
    imported(monkeypatch, repo)

    assert snapshot.manifest == before


def test_an_index_that_cannot_be_searched_names_nothing_falsely(
    repo: Folder, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.git("update-index", "--index-version", "4")
    imported(monkeypatch, repo, "train.py", "print(9)\n")
    assert snapshot.report == ()


def test_notes_that_cannot_be_recorded_end_no_save(snapshot: Snapshot) -> None:
    assert snapshot.with_notes(3) is snapshot  # type: ignore[arg-type]
