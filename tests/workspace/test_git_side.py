"""What load and undo write in the git directory has the modes and the branches that git expects."""

import os
import stat
from functools import partial
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from jellyml.errors import UnsafeToContinue
from jellyml.repo.sharing import shared_mode
from jellyml.workspace import Workspace
from jellyml.workspace.session import Session
from nobody import as_nobody

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes")

FILES = (".git/HEAD", ".git/index", ".git/logs/HEAD")


def save(folder: Folder, path: Path) -> Path:
    torch.save({**jellyml.create_snapshot(folder.path, strict=True)}, path)
    return path


def modes(repo: Folder, *names: str) -> dict[str, str]:
    return {name: oct(stat.S_IMODE((repo.path / name).lstat().st_mode)) for name in names}


@pytest.mark.parametrize("reflog", ["there", "missing"])
@pytest.mark.parametrize("setting", ["group", "all", "0660", "0640", "umask", "true", "2"])
def test_the_rule_of_a_shared_repository_is_followed(
    repo: Folder, tmp_path: Path, setting: str, reflog: str
) -> None:
    model = save(repo, tmp_path / "m.pth")
    repo.git("config", "core.sharedRepository", setting)
    repo.write("train.py", "three\n")
    repo.commit()
    repo.git("switch", "-q", "--detach")
    by_git = modes(repo, *FILES)
    if reflog == "missing":
        (repo.path / ".git/logs/HEAD").unlink()

    Workspace(repo.path).load(model)
    assert modes(repo, *FILES) == by_git
    Workspace(repo.path).undo()
    assert modes(repo, *FILES) == by_git


def test_a_rollback_follows_it_too(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save(repo, tmp_path / "m.pth")
    repo.git("config", "core.sharedRepository", "group")
    repo.write("train.py", "three\n")
    repo.commit()
    repo.git("switch", "-q", "--detach")
    by_git = modes(repo, *FILES)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Session, "finish", full)
    with pytest.raises(UnsafeToContinue):
        Workspace(repo.path).load(model)

    assert modes(repo, *FILES) == by_git


def test_modes_are_git_s() -> None:
    """As git's ``calc_shared_perm`` in path.c."""
    assert shared_mode(0o644, "") == 0o644
    assert shared_mode(0o600, "group") == 0o660
    assert shared_mode(0o444, "group") == 0o444
    assert shared_mode(0o644, "0660") == 0o660
    assert shared_mode(0o755, "0660") == 0o770
    assert shared_mode(0o600, "everybody") == 0o664
    assert shared_mode(0o600, "nonsense") == 0o600


def test_a_store_of_another_user_is_named(repo: Folder, tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("only root can act as another user")
    model = save(repo, tmp_path / "m.pth")
    repo.git("config", "--global", "safe.directory", "*")
    repo.write("train.py", "three\n")
    Workspace(repo.path).load(model)
    mine = repo.path / ".git/jellyml"

    def act(verb: str) -> str:
        mine.chmod(0)
        here = Workspace(repo.path)
        return str(here.load(model) if verb == "load" else getattr(here, verb)())

    for verb in ("history", "doctor", "undo", "load"):
        said = as_nobody((tmp_path,), partial(act, verb))
        assert "UnsafeToContinue" in said
        assert "cannot be read" in said


def test_the_modes_of_an_operation_in_progress_come_back(repo: Folder, tmp_path: Path) -> None:
    for number in range(4):
        repo.write("train.py", f"{number}\n")
        repo.commit()
    model = save(repo, tmp_path / "m.pth")
    repo.git("bisect", "start", "HEAD", "HEAD~4")
    (repo.path / ".git/BISECT_LOG").chmod(0o600)
    (repo.path / ".git/BISECT_START").chmod(0o640)
    names = [f".git/{path.name}" for path in (repo.path / ".git").glob("BISECT*")]
    before = modes(repo, *names)

    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()

    assert modes(repo, *names) == before


def branches(repo: Folder) -> set[str]:
    return set(repo.git("for-each-ref", "--format=%(refname:short)", "refs/heads").decode().split())


@pytest.fixture
def on_top(repo: Folder, tmp_path: Path) -> Path:
    """``repo`` on a commit that no branch has, and a checkpoint of the commit before it."""
    model = save(repo, tmp_path / "m.pth")
    repo.git("switch", "-q", "--detach")
    repo.write("train.py", "on top\n")
    repo.commit()
    return model


def test_undo_removes_the_branch_that_load_made(repo: Folder, on_top: Path) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(on_top)
    for _ in range(2):
        (made,) = branches(repo) - {"main"}
        outcome = Workspace(repo.path).undo()
        assert any(made in line for line in outcome.message)
        assert fingerprint.workspace(repo) == before
        assert not (repo.path / f".git/logs/refs/heads/{made}").exists()
        Workspace(repo.path).redo()


@pytest.mark.parametrize("how", ["moved", "in another worktree", "switched to"])
def test_a_branch_that_somebody_uses_stays(
    repo: Folder, on_top: Path, tmp_path: Path, how: str
) -> None:
    Workspace(repo.path).load(on_top)
    (made,) = branches(repo) - {"main"}
    if how == "moved":
        repo.git("branch", "-f", made, "main")
    elif how == "in another worktree":
        repo.git("worktree", "add", "-q", str(tmp_path / "other"), made)
    else:
        repo.git("switch", "-q", made)
        Workspace(repo.path).load(on_top)

    Workspace(repo.path).undo()

    assert made in branches(repo)
