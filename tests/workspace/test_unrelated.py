"""A load into the wrong folder: code that has nothing in common with it is loaded on request."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import jellyml
from at_the_keyboard import save_model, type_command, type_on_terminal
from conftest import Folder
from jellyml import eat
from jellyml.errors import UnsafeToContinue
from jellyml.repo import git
from jellyml.workspace import Workspace
from workspaces import Seen, seen


def made(place: Path, files: dict[str, str]) -> Folder:
    """A repository of one commit; the commit is of the files alone."""
    place.mkdir()
    folder = Folder(place)
    folder.git("init", "-q", "-b", "main")
    for name, content in files.items():
        folder.write(name, content)
    folder.commit("its own")
    return folder


@pytest.fixture
def model(repo: Folder, tmp_path: Path) -> Path:
    path = tmp_path / "model.pth"
    torch.save({**jellyml.create_snapshot(repo.path, strict=True)}, path)
    return path


@pytest.fixture
def wrong(tmp_path: Path) -> Folder:
    folder = made(tmp_path / "wrong", {"thesis.tex": "years of work\n", "figures/one.svg": "<svg>"})
    folder.write("notes.txt", "untracked\n")
    return folder


def files(folder: Folder) -> set[str]:
    found = (path for path in folder.path.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder.path)) for path in found}
    return {name for name in names if not name.startswith(".git/")}


def refused(folder: Folder, model: Path, **more: Any) -> UnsafeToContinue:
    before: Seen = seen(folder.path)
    with pytest.raises(UnsafeToContinue) as caught:
        Workspace(folder.path).load(model, **more)
    assert seen(folder.path) == before
    assert not (folder.path / ".git" / "jellyml").exists()
    return caught.value


def test_the_wrong_folder_is_left_as_it_was(wrong: Folder, model: Path) -> None:
    problem = refused(wrong, model)
    assert problem.exit_code == 3
    assert str(wrong.path) in problem.problem
    assert "3 files" in problem.problem
    assert f"jellyml load {model} --to NEW-FOLDER" in problem.fix


def test_at_the_keyboard_it_is_status_3_and_y_goes_ahead(wrong: Folder, model: Path) -> None:
    before = seen(wrong.path)
    said = type_command("load", model, cwd=wrong.path)
    assert (said.status, said.out) == (3, "")
    assert "--to NEW-FOLDER" in said.err
    assert type_command("load", model, "-q", cwd=wrong.path).status == 3
    assert seen(wrong.path) == before
    assert type_command("load", model, "-y", cwd=wrong.path).status == 0
    assert files(wrong) == {"train.py", "lib/net.py", ".gitignore"}
    Workspace(wrong.path).undo()
    assert files(wrong) == {"thesis.tex", "figures/one.svg", "notes.txt"}


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 3), (b"\n", 3)])
def test_on_a_terminal_it_asks(wrong: Folder, model: Path, answer: bytes, status: int) -> None:
    said = type_on_terminal("load", str(model), cwd=wrong.path, answer=answer)
    assert said.status == status, said
    assert "[y/N]" in said.out
    assert (wrong.path / "thesis.tex").exists() == bool(status)


def test_a_dry_run_lists_and_says_so(wrong: Folder, model: Path) -> None:
    before = seen(wrong.path)
    said = type_command("load", model, "--dry-run", cwd=wrong.path)
    assert said.status == 0
    assert "delete      thesis.tex" in said.out
    assert "asks first" in said.err.replace("\n", " ")
    assert seen(wrong.path) == before
    agreed = type_command("load", model, "--dry-run", "-y", cwd=wrong.path)
    assert "asks first" not in agreed.err.replace("\n", " ")


def test_the_function_of_1_0(repo: Folder, wrong: Folder, model: Path) -> None:
    args = eat.EatArgsWithModel_dataclass(str(model), code_dir=str(wrong.path), quiet=True)
    with pytest.raises(UnsafeToContinue):
        eat.eat(args)
    assert eat.eat(eat.EatArgsWithModel_dataclass(str(model), True, str(repo.path))) == 0


def test_from_python_unrelated_goes_ahead(wrong: Folder, model: Path) -> None:
    Workspace(wrong.path).load(model, unrelated=True)
    assert files(wrong) == {"train.py", "lib/net.py", ".gitignore"}


def test_what_is_ignored_or_a_checkpoint_is_neither_shared_nor_lost(
    tmp_path: Path, model: Path
) -> None:
    folder = made(tmp_path / "other", {".hidden/a": "x\n"})
    folder.write(".git/info/exclude", "lib\ntrain.py\n")
    folder.write("train.py", "ignored, at a path of the code\n")
    refused(folder, model)
    (folder.path / ".hidden/a").unlink()
    folder.commit("nothing is left but what is ignored")
    Workspace(folder.path).load(model)


# Related code never asks.


def _same_path(folder: Folder, repo: Folder) -> None:
    folder.write("lib/net.py", "another\n")


def _same_file(folder: Folder, repo: Folder) -> None:
    folder.write("lib/net.py", "width = 8\n")


def _untracked_path(folder: Folder, repo: Folder) -> None:
    folder.write("train.py", "untracked\n")


def _deleted_path(folder: Folder, repo: Folder) -> None:
    folder.write("train.py", "known\n")
    folder.commit()
    (folder.path / "train.py").unlink()


def _earlier_commit(folder: Folder, repo: Folder) -> None:
    """Nothing in common by now but a commit, on no branch."""
    folder.git("fetch", "-q", str(repo.path), "main")


def _nothing_to_lose(folder: Folder, repo: Folder) -> None:
    folder.git("rm", "-rq", ".")
    (folder.path / "notes.txt").unlink()


def _unborn(folder: Folder, repo: Folder) -> None:
    _nothing_to_lose(folder, repo)
    shutil.rmtree(folder.path / ".git")
    folder.path.mkdir(exist_ok=True)
    folder.git("init", "-q")


def _no_repository(folder: Folder, repo: Folder) -> None:
    shutil.rmtree(folder.path / ".git")


RELATED = (
    _same_path, _same_file, _untracked_path, _deleted_path, _earlier_commit,
    _nothing_to_lose, _unborn, _no_repository,
)  # fmt: skip


@pytest.mark.parametrize("related", RELATED, ids=lambda one: one.__name__)
def test_related_code_is_loaded_without_a_question(
    repo: Folder, wrong: Folder, model: Path, related: Any
) -> None:
    related(wrong, repo)
    Workspace(wrong.path).load(model)
    assert wrong.read("lib/net.py") == b"width = 8\n"


def test_a_cut_history_is_known_by_the_commit_that_it_stands_for(
    repo: Folder, tmp_path: Path
) -> None:
    """A stand-in without a parent, from a branch that has no path left of it."""
    cut = tmp_path / "cut.pth"
    torch.save({**jellyml.create_snapshot(repo.path, strict=True, history="none")}, cut)
    repo.git("switch", "-q", "--orphan", "empty")
    repo.write("other.txt", "nothing in common\n")
    repo.commit()
    Workspace(repo.path).load(cut)
    assert repo.read("train.py") == b"print('two')\n"


def test_into_a_new_folder_nothing_is_asked(wrong: Folder, model: Path, tmp_path: Path) -> None:
    assert Workspace(wrong.path).load(model, to=tmp_path / "new").commit


@pytest.mark.parametrize("shared", [True, False])
def test_it_costs_one_git_and_none_where_a_path_is_shared(
    wrong: Folder, model: Path, repo: Folder, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    target = repo if shared else wrong
    target.write("more.txt", "to lose\n")
    started: list[object] = []
    real = subprocess.Popen.__init__

    def counted(self: Any, *args: Any, **named: Any) -> None:
        started.append(args[0])
        real(self, *args, **named)

    monkeypatch.setattr(git._Process, "__init__", counted)
    counts = []
    for unrelated in (True, False):
        started.clear()
        Workspace(target.path).load(model, dry_run=True, unrelated=unrelated)
        counts.append(len(started))
    assert counts[1] - counts[0] == (0 if shared else 1)


def test_a_model_in_its_own_repository_comes_back(repo: Folder) -> None:
    path = save_model(repo)
    repo.write("train.py", "print('three')\n")
    assert type_command("load", path, cwd=repo.path).status == 0
