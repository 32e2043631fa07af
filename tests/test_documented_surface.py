"""The documentation of JellyML 1.0, followed step by step: every name, alias and option in it."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import jellyml
from at_the_keyboard import environment, save_model, start_command, type_command, type_on_terminal
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.delete_last_history_item import (
    DeleteLastHistoryItemArgs,
    DeleteLastHistoryItemArgs_dataclass,
    delete_last_history_item,
)
from jellyml.eat import EatArgs, EatArgsWithModel, EatArgsWithModel_dataclass, eat
from jellyml.extract_bundle import ExtractBundleArgs, ExtractBundleArgs_dataclass, extract_bundle
from jellyml.git import GitArgs, GitArgs_dataclass, git
from jellyml.undo import UndoArgs, UndoArgs_dataclass, undo

TRAINING = """\
import jellyml
import torch

snapshot = jellyml.create_jelly_filling()
# or use its alias "create_snapshot"
snapshot = jellyml.create_snapshot()
model = torch.nn.Linear(2, 2)
torch.save({
    "model_state_dict":
            model.state_dict(),
    **snapshot,
}, "my_model.pth")
"""


@pytest.fixture
def model(repo: Folder) -> Path:
    """A checkpoint of the code as it is; then the code changes."""
    repo.write("train.py", "print('three')\n")
    path = save_model(repo)
    repo.write("train.py", "print('four')\n")
    return path


def train(repo: Folder, code: str) -> None:
    repo.write("training.py", code)
    done = subprocess.run(
        [sys.executable, "training.py"], cwd=repo.path, env=environment(), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_getting_started(repo: Folder) -> None:
    train(repo, TRAINING)
    repo.write("training.py", "something else\n")
    repo.write("train.py", "print('changed')\n")

    loaded = type_command("load-snapshot-from", "my_model.pth", cwd=repo.path)
    assert loaded.status == 0
    assert repo.read("training.py").decode() == TRAINING
    assert repo.read("train.py") == b"print('two')\n"

    assert type_command("undo", cwd=repo.path).status == 0
    assert repo.read("training.py") == b"something else\n"
    assert repo.read("train.py") == b"print('changed')\n"


def test_a_snapshot_joins_a_dictionary_both_ways(repo: Folder) -> None:
    train(
        repo,
        "import jellyml, torch\n"
        "snapshot = jellyml.create_snapshot()\n"
        "model_dict = {'w': torch.ones(2)}\n"
        "torch.save(model_dict | snapshot, 'my_model.pth')\n",
    )
    saved = torch.load(repo.path / "my_model.pth", weights_only=True)
    assert saved.keys() >= {"w", "jellyml_code_snapshot"}
    assert type_command("load", "my_model.pth", "-q", cwd=repo.path).status == 0


def test_create_snapshot_takes_what_it_took() -> None:
    assert jellyml.create_jelly_filling is jellyml.create_snapshot
    parameters = list(inspect.signature(jellyml.create_snapshot).parameters.values())
    assert [(each.name, each.default) for each in parameters[:3]] == [
        ("git_repo_path", None),
        ("out_git_bundle_path", None),
        ("create_git_repo", False),
    ]
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters[3:])


def test_the_bundle_can_be_had_as_a_file(repo: Folder, tmp_path: Path) -> None:
    repo.write("new.py", "x\n")
    snapshot = jellyml.create_snapshot(str(repo.path / "lib"), str(tmp_path / "out.bundle"))
    repo.git("clone", "-q", tmp_path / "out.bundle", tmp_path / "cloned")  # type: ignore[arg-type]
    assert (tmp_path / "cloned/new.py").read_bytes() == b"x\n"
    assert all(value.dtype == torch.uint8 for value in snapshot.values())


def test_a_repository_is_made_when_asked_for(folder: Folder) -> None:
    folder.write("train.py", "x\n")
    with pytest.raises(jellyml.JellyError, match="is not a git repository"):
        jellyml.create_snapshot(str(folder.path))
    jellyml.create_snapshot(str(folder.path), create_git_repo=True)
    assert (folder.path / ".git").is_dir()


def test_a_clean_tree_is_captured_as_its_own_commit(repo: Folder) -> None:
    snapshot = jellyml.create_snapshot(str(repo.path))
    assert snapshot.commit == repo.git("rev-parse", "HEAD").decode().strip()


def test_the_file_format(repo: Folder) -> None:
    data = jellyml.create_snapshot(str(repo.path))["jellyml_code_snapshot"].numpy().tobytes()
    header = json.loads(data[:1024].rstrip(b"\0"))
    assert header["magic_number"] == "jelly_ml_snapshot"
    assert header["snapshot_offset"] == 1024
    assert header["snapshot_size"] == len(data) - 1024
    assert header["version"] == "january-7-2023"
    assert data[1024:].startswith(b"# v2 git bundle\n")


def test_eat_and_undo_as_functions(
    repo: Folder, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(repo.path / "lib")
    arguments = EatArgsWithModel_dataclass(str(model), False, folder, True)
    assert isinstance(arguments, EatArgsWithModel)
    assert isinstance(arguments, EatArgs)
    assert eat(arguments) == 0
    assert "jellyml undo" in capsys.readouterr().out
    assert repo.read("train.py") == b"print('three')\n"

    back = UndoArgs_dataclass(quiet=True, code_dir=folder, no_donut=False)
    assert isinstance(back, UndoArgs)
    assert undo(back) == 0
    assert capsys.readouterr() == ("", "")
    assert repo.read("train.py") == b"print('four')\n"


def test_the_functions_work_in_the_current_folder(
    repo: Folder,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repo.path)
    assert eat(EatArgsWithModel_dataclass(model="model.pth", quiet=True)) == 0
    assert undo(UndoArgs_dataclass(quiet=True)) == 0
    assert capsys.readouterr() == ("", "")
    assert git(GitArgs_dataclass(args=["model.pth", "fetch", "--quiet", "{}"])) == 0
    assert git(GitArgs_dataclass(["model.pth", "rev-parse", "-q", "--verify", "nothing"])) == 1
    assert extract_bundle(ExtractBundleArgs_dataclass("model.pth", None)) == 0
    assert repo.read("model.pth.bundle") == b"".join(Checkpoint.open(model).bundle())
    assert isinstance(GitArgs_dataclass([]), GitArgs)
    assert isinstance(ExtractBundleArgs_dataclass("x"), ExtractBundleArgs)


def test_delete_last_history_item_as_a_function(repo: Folder, model: Path) -> None:
    assert eat(EatArgsWithModel_dataclass(str(model), True, str(repo.path))) == 0
    arguments = DeleteLastHistoryItemArgs_dataclass(str(repo.path))
    assert isinstance(arguments, DeleteLastHistoryItemArgs)
    assert delete_last_history_item(arguments) == 0
    undo(UndoArgs_dataclass(True, str(repo.path)))
    assert repo.read("train.py") == b"print('three')\n"


def test_the_functions_raise_and_never_return_a_failure(repo: Folder, tmp_path: Path) -> None:
    missing = str(tmp_path / "no.pth")
    with pytest.raises(jellyml.JellyError):
        eat(EatArgsWithModel_dataclass(missing, True, str(repo.path)))
    with pytest.raises(jellyml.JellyError):
        undo(UndoArgs_dataclass(True, str(tmp_path)))
    with pytest.raises(jellyml.JellyError):
        git(GitArgs_dataclass([missing, "fetch", "{}"]))
    with pytest.raises(jellyml.JellyError):
        git(GitArgs_dataclass([]))
    with pytest.raises(jellyml.JellyError):
        extract_bundle(ExtractBundleArgs_dataclass(missing))
    with pytest.raises(jellyml.JellyError):
        delete_last_history_item(DeleteLastHistoryItemArgs_dataclass(str(tmp_path)))


@pytest.mark.parametrize(
    ("load", "back"),
    [("eat", "undonut"), ("load", "undo"), ("load-snapshot-from", "return")],
)
def test_every_alias(repo: Folder, model: Path, load: str, back: str) -> None:
    options = ("-q", "--no_donut", "--code_dir", repo.path)
    assert type_command(load, *options, model, cwd=Path("/")) == (0, "", "")
    assert repo.read("train.py") == b"print('three')\n"
    # The usage line names a model file here; it has no meaning.
    assert type_command(back, *options, "model.pth", cwd=Path("/")) == (0, "", "")
    assert repo.read("train.py") == b"print('four')\n"


def test_load_where_there_is_no_repository(repo: Folder, model: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert type_command("eat", model, cwd=empty).status == 0
    assert (empty / "train.py").read_bytes() == b"print('three')\n"
    assert (empty / ".git").is_dir()


def test_git_with_a_model(repo: Folder, model: Path) -> None:
    assert start_command("git", "model.pth", "clone", "{}", cwd=repo.path).status == 0
    assert repo.read("model/train.py") == b"print('three')\n"
    assert start_command("git", "model.pth", "fetch", "{}", cwd=repo.path).status == 0
    # The documentation shows this too; what git says of a bundle as a branch is passed on.
    said = start_command("git", "model.pth", "checkout", "{}", cwd=repo.path)
    assert said.status == 128 or "error: pathspec" in said.err


def test_fix(repo: Folder, model: Path) -> None:
    assert type_command("eat", "model.pth", "-q", cwd=repo.path).status == 0
    for what in ("get-history-path", "delete-last-history-item", "clear-history"):
        assert type_command("fix", what, "-c", "lib", cwd=repo.path).status == 0
    assert type_command("fix", "extract-bundle", "model.pth", cwd=repo.path).status == 0


def test_every_command_has_help_by_both_options(repo: Folder) -> None:
    for command in ("eat", "undonut", "git", "fix"):
        for option in ("-h", "--help"):
            assert type_command(command, option, cwd=repo.path).out.startswith("usage: jellyml")
    # "there is something fun there that you don't want to miss!"
    assert "▓" in type_on_terminal("-h", cwd=repo.path, more={"NO_COLOR": "1"}).out
