"""What a message tells the user to paste acts on the right thing, wherever it lies."""

import os
import shlex
from pathlib import Path

import pytest
import torch

import jellyml
from conftest import Folder
from jellyml.checkpoint.export import write_bundle
from jellyml.errors import ForeignRepository, JellyError, UsageError
from jellyml.workspace import Workspace


@pytest.fixture
def model(repo: Folder, tmp_path: Path) -> Path:
    path = tmp_path / "my model.pth"
    torch.save({**jellyml.create_snapshot(repo.path, strict=True)}, path)
    return path


def command(lines: tuple[str, ...], start: str) -> list[str]:
    """The words of the command that follows ``start`` in one of the lines."""
    (line,) = (line for line in lines if start in line)
    return shlex.split(line.partition(start)[2])


def test_a_repository_that_was_there_is_not_offered_for_removal(repo: Folder, model: Path) -> None:
    repo.git("checkout", "-q", "--orphan", "new")
    Workspace(repo.path).load(model)

    outcome = Workspace(repo.path).undo()

    assert not any("rm -r" in line for line in outcome.message)


def test_one_that_a_load_made_is(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    Workspace(folder).load(model)

    outcome = Workspace(folder).undo()

    assert command(outcome.message, "history and all: ") == ["rm", "-r", str(folder / ".git")]


def test_advice_for_another_folder_names_it(
    repo: Folder, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path)
    there = tmp_path / "over there"

    said = Workspace().load(model, to=there).message

    assert command(said, "To go back: ") == ["jellyml", "undo", "-c", str(there)]
    assert command(said, "To go on from here: ")[:3] == ["git", "-C", str(there)]
    here = Workspace().load(model).message
    assert command(here, "To go back: ") == ["jellyml", "undo"]


def test_a_fix_can_be_pasted_where_names_have_spaces(model: Path, tmp_path: Path) -> None:
    plain = Folder(tmp_path / "plain folder")
    plain.write("train.py", "mine")

    with pytest.raises(JellyError) as caught:
        Workspace(plain.path).load(model)

    words = shlex.split(caught.value.fix)
    assert words == ["jellyml", "load", str(model), "--to", "NEW-FOLDER"]


@pytest.mark.parametrize("inside", ["", "hooks", "new/folder"])
def test_nothing_is_loaded_into_a_git_directory(repo: Folder, model: Path, inside: str) -> None:
    place = repo.path / ".git" / inside
    before = sorted((repo.path / ".git").rglob("*"))
    to = None if place.is_dir() else place
    with pytest.raises((ForeignRepository, UsageError)) as caught:
        Workspace(repo.path if to else place).load(model, to=to)
    assert caught.value.fix
    assert sorted((repo.path / ".git").rglob("*")) == before


def test_a_bundle_goes_into_ordinary_files_only(repo: Folder, model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("target")

    for place in (tmp_path / "pipe", tmp_path / "none/there", tmp_path / "link"):
        with pytest.raises(UsageError):
            write_bundle(model, place)
        with pytest.raises(UsageError):
            jellyml.create_snapshot(repo.path, place)

    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "target").exists()
    long = tmp_path / ("n" * 250)
    assert write_bundle(model, long) == long


def test_a_dry_run_to_a_deep_folder_leaves_none_of_it(model: Path, tmp_path: Path) -> None:
    Workspace(tmp_path).load(model, to=tmp_path / "a/b/c", dry_run=True)
    assert not (tmp_path / "a").exists()


def test_a_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="gone"):
        jellyml.create_snapshot()
    monkeypatch.chdir(tmp_path)
