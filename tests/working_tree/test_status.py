"""One glance at a working tree: a guess that git must bear out, and an index that is known."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import jellyml
from captures import kept, taken, unpacked, walked
from conftest import Folder
from jellyml.errors import ForeignRepository, GitError, NotARepository
from jellyml.repo.repository import Repository, WrongGuess, confirmed, guess
from jellyml.working_tree import status
from jellyml.working_tree.scan import scan


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What git has been asked since the last time, a line each."""
    log = tmp_path / "log"
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho \"$*\" >> '{log}'\nexec '{shutil.which('git')}' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def lines() -> list[str]:
        found = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return found

    return lines


@pytest.mark.parametrize("inside", ["", "lib", "new/deep"])
def test_a_guess_is_what_git_finds(repo: Folder, inside: str) -> None:
    folder = repo.path / inside
    folder.mkdir(parents=True, exist_ok=True)
    guessed = guess(folder)
    assert guessed
    assert guessed.guessed
    assert scan(guessed).repository == Repository.find(folder)


def bare_inside(repo: Folder) -> Path:
    repo.git("init", "-q", "--bare", "inner.git")
    return repo.path / "inner.git" / "objects"


def in_git_directory(repo: Folder) -> Path:
    return repo.path / ".git" / "refs"


def broken_inside(repo: Folder) -> Path:
    (repo.path / "lib" / ".git").mkdir()
    return repo.path / "lib"


def linked(repo: Folder) -> Path:
    (repo.path / ".git").rename(repo.path.parent / "elsewhere")
    (repo.path / ".git").symlink_to(repo.path.parent / "elsewhere")
    return repo.path


def a_worktree(repo: Folder) -> Path:
    repo.git("worktree", "add", "-q", "../tree")
    return repo.path.parent / "tree"


def of_another_work_tree(repo: Folder) -> Path:
    Folder(repo.path.parent).write("there/a.py", "1")
    repo.git("config", "core.worktree", "../../there")
    return repo.path


def head_that_is_none(repo: Folder) -> Path:
    repo.write(".git/HEAD", "nonsense\n")
    return repo.path


def split_index(repo: Folder) -> Path:
    repo.git("update-index", "--split-index")
    return repo.path


@pytest.mark.parametrize(
    "make",
    [
        bare_inside, in_git_directory, broken_inside, linked, a_worktree, of_another_work_tree,
        head_that_is_none, split_index,
    ],
)  # fmt: skip
def test_where_a_guess_is_wrong_git_decides(
    repo: Folder, make: Callable[[Folder], Path], tmp_path: Path
) -> None:
    folder = make(repo)
    guessed = guess(folder)
    if guessed:
        with pytest.raises(WrongGuess):
            scan(guessed)
    try:
        found = Repository.find(folder)
    except (ForeignRepository, NotARepository) as problem:
        with pytest.raises(type(problem), match=re.escape(problem.problem)):
            jellyml.create_snapshot(folder, strict=True)
        return
    captured = unpacked(taken(folder).filling, tmp_path / "unpacked")
    assert captured == walked(found.root)


def test_a_ceiling_is_kept_to(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repo.path))
    assert guess(repo.path / "lib") is None
    with pytest.raises(NotARepository):
        jellyml.create_snapshot(repo.path / "lib")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give files away")
def test_another_owners_repository_is_not_read(repo: Folder) -> None:
    for path in (repo.path, repo.path / ".git"):
        os.chown(path, 65534, 65534)
    assert guess(repo.path)
    with pytest.raises(GitError, match="belongs to another user"):
        taken(repo.path)


def test_a_confirmation_is_of_the_place_asked_about(repo: Folder) -> None:
    guessed = guess(repo.path)
    assert guessed
    for origins, config in (
        ({"file:../.git/config"}, {}),
        ({"file:.git/config"}, {"core.worktree": ""}),
    ):
        with pytest.raises(WrongGuess):
            confirmed(guessed, origins, config)
    assert confirmed(guessed, {"file:.git/config"}, {}).object_format == "sha1"


def test_a_known_index_is_not_listed_again(repo: Folder, asked: Callable[[], list[str]]) -> None:
    def listed() -> bool:
        asked()
        taken(repo.path)
        return any("ls-files" in line for line in asked())

    assert [listed(), listed()] == [True, False]
    repo.write("train.py", "edited")
    assert not listed()
    repo.git("add", "-A")
    assert [listed(), listed()] == [True, False]


def assumed(repo: Folder) -> None:
    repo.git("update-index", "--assume-unchanged", "train.py")
    repo.write("train.py", "edited")


def skipped(repo: Folder) -> None:
    repo.git("update-index", "--skip-worktree", "train.py")
    repo.write("train.py", "edited")


def a_submodule(repo: Folder) -> None:
    inner = Folder(repo.path / "inner")
    inner.path.mkdir()
    inner.git("init", "-q")
    inner.write("a.py", "1")
    inner.commit()
    repo.git("add", "inner")
    repo.git("commit", "-qm", "inner")


def rules(repo: Folder) -> None:
    repo.write(".gitattributes", "*.txt text eol=lf\n")
    repo.commit()
    repo.write("a.txt", "one\n")


@pytest.mark.parametrize("change", [assumed, skipped, a_submodule, rules])
def test_what_an_index_comes_to_say_is_seen(
    repo: Folder, tmp_path: Path, change: Callable[[Folder], None]
) -> None:
    taken(repo.path)
    taken(repo.path)
    change(repo)
    for number in range(2):  # what was learnt of the new index is right as well
        held = unpacked(taken(repo.path).filling, tmp_path / f"unpacked{number}")
        assert held == kept(repo) | (
            {b"inner/a.py": ("file", b"1")} if change is a_submodule else {}
        )


def test_an_index_that_changes_under_the_look_is_not_believed(
    repo: Folder,
) -> None:
    plain = status.PlainIndexes()
    place = Repository.find(repo.path)
    scan(place, plain=plain)
    (known,) = plain.now
    after = status.PlainIndexes(dict(plain.now))

    def meanwhile(_: Repository) -> None:
        repo.git("update-index", "--assume-unchanged", "train.py")
        repo.write("train.py", "edited")

    found = scan(place, plain=after, meanwhile=meanwhile)
    assert b"train.py" in found.overlay
    assert known not in after.now
