"""A snapshot may have files that git ignores where it is compared: both sides are read."""

from pathlib import Path

import pytest

from at_the_keyboard import save_model, type_command
from captures import untouched
from conftest import Folder

NAME = "extra/net.py"


@pytest.fixture
def ignoring(repo: Folder) -> Folder:
    """A repository that ignores a folder which its checkpoint has as code."""
    repo.write(NAME, "width = 3\n")
    repo.commit("with more")
    save_model(repo)
    repo.write(".gitignore", "*.pth\n/extra/\n")
    repo.git("rm", "-q", "-r", "--cached", "extra")
    repo.commit("extra is ignored now")
    return repo


def diff(repo: Folder) -> str:
    with untouched(repo.path):
        said = type_command("diff", "model.pth", "--only", "code", cwd=repo.path)
    assert said.status == 0, said.err
    return said.out


def test_an_ignored_file_that_is_the_same_is_no_difference(ignoring: Folder) -> None:
    assert "net.py" not in diff(ignoring)


def test_an_ignored_file_that_differs_is_shown(ignoring: Folder) -> None:
    ignoring.write(NAME, "width = 4\n")
    assert "-width = 3\n+width = 4\n" in diff(ignoring)


def test_an_ignored_file_that_is_gone_is_deleted(ignoring: Folder) -> None:
    (ignoring.path / NAME).unlink()
    assert "deleted file mode 100644" in diff(ignoring)


def test_other_ignored_files_stay_out(ignoring: Folder) -> None:
    ignoring.write("extra/other.py", "of the user\n")
    assert "other.py" not in diff(ignoring)


def test_nothing_is_read_through_a_link(ignoring: Folder, tmp_path: Path) -> None:
    (ignoring.path / NAME).unlink()
    (ignoring.path / "extra").rmdir()
    Folder(tmp_path / "outside").write("net.py", "secret = 1\n")
    (ignoring.path / "extra").symlink_to(tmp_path / "outside")
    ignoring.write(".gitignore", "*.pth\n/extra\n/extra/\n")
    text = diff(ignoring)
    assert "secret" not in text
    assert "-width = 3\n" in text
