"""Rare shapes of a repository that come back exactly, too."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.workspace import Workspace
from test_limits import as_nobody


def saved(folder: Folder, path: Path) -> Path:
    torch.save({**jellyml.create_snapshot(folder.path, strict=True)}, path)
    folder.git("reset", "-q", "--hard")
    folder.git("clean", "-fdq")
    return path


@pytest.fixture
def model(repo: Folder, tmp_path: Path) -> Path:
    repo.write("train.py", "of the model\n")
    return saved(repo, tmp_path / "model.pth")


def linked(repo: Folder, place: Path, branch: str) -> Folder:
    """Another worktree, on a branch or with ``HEAD`` detached, whoever else has the branch."""
    repo.git("worktree", "add", "-q", "-f", str(place), branch)
    return Folder(place)


# Where HEAD stands.


@pytest.mark.parametrize("links", [1, 2])
def test_an_alias_of_a_branch_comes_back(repo: Folder, model: Path, links: int) -> None:
    repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    repo.git("symbolic-ref", "refs/heads/alias2", "refs/heads/alias")
    repo.git("symbolic-ref", "HEAD", "refs/heads/alias" + "2" * (links - 1))
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    outcome = Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before
    assert outcome.warnings == ()


def test_an_alias_that_moved_is_not_touched(repo: Folder, model: Path) -> None:
    repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    repo.git("symbolic-ref", "HEAD", "refs/heads/alias")
    was = repo.git("rev-parse", "HEAD")
    Workspace(repo.path).load(model)
    repo.git("branch", "-f", "main", "HEAD~2")

    outcome = Workspace(repo.path).undo()

    assert (repo.path / ".git/HEAD").read_bytes() == was
    assert any("alias has moved" in warning for warning in outcome.warnings)


@pytest.mark.parametrize("how", ["on it", "rebasing it", "bisecting it", "by an alias"])
@pytest.mark.parametrize("where", ["main", "linked"])
def test_a_branch_that_another_worktree_has_since_is_not_checked_out(
    repo: Folder, model: Path, tmp_path: Path, how: str, where: str
) -> None:
    other = linked(repo, tmp_path / "other", "HEAD")
    here, there = (repo, other) if where == "main" else (other, repo)
    there.git("switch", "-q", "--detach")
    here.git("switch", "-q", "main")
    was = here.git("rev-parse", "HEAD")
    Workspace(here.path).load(model)
    if how == "by an alias":
        repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
        there.git("symbolic-ref", "HEAD", "refs/heads/alias")
    else:
        there.git("switch", "-q", "main")
    if how == "rebasing it":
        there.git("rebase", "-q", "--exec", "false", "HEAD~1", check=False)
    elif how == "bisecting it":
        there.git("bisect", "start", "HEAD", "HEAD~1")
        there.git("switch", "-q", "--detach")
    if how.endswith("it") and how != "on it":
        assert there.git("rev-parse", "--abbrev-ref", "HEAD") == b"HEAD\n"
    theirs = fingerprint.workspace(there)

    outcome = Workspace(here.path).undo()

    assert here.git("rev-parse", "HEAD") == was
    assert here.git("rev-parse", "--abbrev-ref", "HEAD") == b"HEAD\n"
    said = " ".join(outcome.warnings)
    assert "main" in said
    assert str(there.path) in said
    assert fingerprint.workspace(there) == theirs


def test_a_branch_that_both_had_comes_back_to_both(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    other = linked(repo, tmp_path / "other", "main")
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    assert Workspace(repo.path).undo().warnings == ()
    assert fingerprint.workspace(repo) == before
    shutil.rmtree(other.path)
    Workspace(repo.path).load(model)
    assert Workspace(repo.path).undo().warnings == ()


def test_a_worktree_whose_folder_is_gone_has_no_branch(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    shutil.rmtree(linked(repo, tmp_path / "other", "main").path)
    assert Workspace(repo.path).undo().warnings == ()
    assert fingerprint.workspace(repo) == before


def test_a_rebase_comes_back_and_says_who_has_its_branch_since(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    repo.git("rebase", "-q", "--exec", "false", "HEAD~1", check=False)
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    other = linked(repo, tmp_path / "other", "main")

    outcome = Workspace(repo.path).undo()

    after = fingerprint.workspace(repo)
    assert after == before
    assert any(str(other.path) in warning for warning in outcome.warnings)
