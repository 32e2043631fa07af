"""The table [tool.jellyml]: found, overruled by the call, and never the end of a run."""

import os
import warnings
from pathlib import Path

import pytest

import jellyml
from conftest import Folder
from jellyml.capture.settings import Settings, settings
from jellyml.errors import JellyWarning, UsageError
from jellyml.snapshot import environment


def table(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(text)


def test_the_call_comes_before_the_table_and_the_table_before_the_defaults(tmp_path: Path) -> None:
    table(tmp_path, '[tool.jellyml]\nhistory = "none"\nmax_untracked = 5\nstrict = true\n')
    found, said = settings(tmp_path, {"history": 3, "timeout": None})
    assert found == Settings(history=3, max_untracked=5, strict=True)
    assert not said


def test_the_nearest_table_up_to_the_root_counts(tmp_path: Path) -> None:
    root, inner = tmp_path / "root", tmp_path / "root/package/source"
    inner.mkdir(parents=True)
    table(tmp_path, "[tool.jellyml]\nmax_untracked = 1\n")
    (root / ".git").mkdir()
    assert settings(inner, {})[0] == Settings()
    table(root, "[tool.jellyml]\nmax_untracked = 2\n")
    assert settings(inner, {})[0].max_untracked == 2
    table(root / "package", "[tool.other]\nmax_untracked = 3\n")
    assert settings(inner, {})[0].max_untracked == 2
    table(root / "package", "[tool.jellyml]\nmax_untracked = 4\n")
    assert settings(inner, {})[0].max_untracked == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[tool.jellyml]\nhistory = "some"\n', "history='some' is not a choice"),
        ("[tool.jellyml]\nmax_file_size = true\n", "max_file_size=True is not a size"),
        ("[tool.jellyml]\nmax_untracked = -1\n", "max_untracked=-1 is not a size"),
        ("[tool.jellyml]\ntimeout = 0\n", "timeout=0 is not a time"),
        ("[tool.jellyml]\nstrict = 1\n", "strict=1 is not a boolean"),
        ('[tool.jellyml]\non_secrets = "tell"\n', "on_secrets='tell' is not a choice"),
        ("[tool.jellyml]\non_secrets = []\n", "on_secrets=[] is not a choice"),
        ("[tool.jellyml]\nsize = 1\n", "size is not a setting"),
        ("[tool.jellyml]\nstrict = \n", "could not be read"),
        ("tool = 1 # [tool.jellyml]\n", "could not be read"),
        ("[tool]\njellyml = 1 # [tool.jellyml]\n", "could not be read"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_and_passed_over(
    repo: Folder, text: str, says: str
) -> None:
    repo.write("pyproject.toml", text)
    with pytest.warns(JellyWarning) as said:
        snapshot = jellyml.create_snapshot(repo.path)
    assert snapshot.commit
    (sentence,) = [str(one.message) for one in said]
    assert says in sentence
    assert str(repo.path / "pyproject.toml") in sentence


@pytest.mark.parametrize(
    "wrong",
    [{"strict": 1}, {"on_secrets": "tell"}, {"on_secrets": True}, {"history": -1}],
    ids=repr,
)
def test_what_is_wrong_in_the_call_is_an_error(repo: Folder, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        jellyml.create_snapshot(repo.path, **wrong)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path, **_: object) -> bytes:
        assert path.is_file(), "this would wait for ever"
        return b""

    for name in ("pyproject.toml", "uv.toml"):
        os.mkfifo(tmp_path / name)
    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(environment, "_configuration_files", lambda root: [root / "uv.toml"])
    assert settings(tmp_path, {}) == (Settings(), [])
    assert environment.indexes(tmp_path) == []


def test_a_capture_goes_by_the_table(repo: Folder) -> None:
    repo.write("pyproject.toml", "[tool.jellyml]\nmax_file_size = 100\n")
    repo.write("large.txt", "x" * 101)
    with pytest.warns(JellyWarning, match=r"large\.txt was left out"):
        jellyml.create_snapshot(repo.path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jellyml.create_snapshot(repo.path, max_file_size=1000)
