"""Full disks, folders that cannot be written, other umasks: refused or exact, never in between."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Folder
from jellyml.errors import JellyError
from jellyml.workspace import Workspace
from nobody import as_nobody
from workspaces import differing, rich, seen


@pytest.fixture
def model(folder: Folder, tmp_path: Path) -> Path:
    rich(folder, tmp_path / "model.pth")
    return tmp_path / "model.pth"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a disk of so many kilobytes, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def made(kilobytes: int) -> Path:
        mount: list[str | Path] = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={kilobytes}k,nr_inodes=3000",
            "none",
            place,
        ]
        if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("this user may not mount a tmpfs")
        return place

    yield made
    if place.is_mount():
        subprocess.run(["umount", "--lazy", place], check=True)


def said_by(act: Callable[[], object]) -> str:
    try:
        return str(act())
    except JellyError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("room", [8, 40, 80, 120, 160, 200, 240])
def test_a_full_disk_changes_nothing(
    folder: Folder, model: Path, small_disk: Callable[[int], Path], room: int
) -> None:
    """``room`` kilobytes are left; a load needs some 250."""
    disk = small_disk(4000)
    place = disk / "work"
    subprocess.run(["cp", "-a", str(folder.path), str(place)], check=True)
    before = seen(place)
    left = shutil.disk_usage(disk).free - room * 1024
    with (disk / "ballast").open("wb") as file:
        file.write(b"\0" * left)

    try:
        Workspace(place).load(model)
    except (JellyError, OSError) as error:
        assert "No space left" in str(error) or "git " in str(error)  # noqa: PT017
        if "taking it back failed" not in str(error):
            assert not differing(before, seen(place), exact=True)
    (disk / "ballast").unlink()
    Workspace(place).undo()
    assert not differing(before, seen(place), exact=True)


def test_a_folder_that_cannot_be_written_is_named_before_anything_moves(
    folder: Folder, model: Path, tmp_path: Path
) -> None:
    (folder.path / "lib").chmod(0o555)
    before = seen(folder.path)

    workspace = Workspace(folder.path)
    said = as_nobody(
        (tmp_path, Path(os.environ["HOME"])), lambda: said_by(lambda: workspace.load(model))
    )

    assert said.startswith(f"UnsafeToContinue: The folder {folder.path / 'lib'} is not writable.")
    folder.git("config", "--global", "--add", "safe.directory", "*")
    assert not differing(before, seen(folder.path), exact=True)


def test_a_home_that_cannot_be_written_is_not_needed(
    folder: Folder, model: Path, tmp_path: Path
) -> None:
    home = Path(os.environ["HOME"])
    before = seen(folder.path)
    home.chmod(0o500)
    workspace = Workspace(folder.path)
    workspace.load(model)  # by now all is imported: the child may not be able to read it
    workspace.undo()

    said = as_nobody((tmp_path, home), lambda: f"{workspace.load(model)} {workspace.undo()}")

    assert "The load is undone" in said, said
    folder.git("config", "--global", "--add", "safe.directory", "*")
    assert not differing(before, seen(folder.path), exact=True)


def test_going_back_under_another_umask_gives_the_same_modes(folder: Folder, model: Path) -> None:
    before = seen(folder.path)
    Workspace(folder.path).load(model)
    was = os.umask(0o077)
    try:
        Workspace(folder.path).undo()
    finally:
        os.umask(was)
    assert not differing(before, seen(folder.path), exact=True)


def test_the_modes_of_folders_come_back(folder: Folder, model: Path) -> None:
    before = seen(folder.path)
    Workspace(folder.path).load(model)
    (folder.path / "lib").chmod(0o700)
    Workspace(folder.path).undo()
    assert not differing(before, seen(folder.path), exact=True)
    Workspace(folder.path).redo()
    assert (folder.path / "lib").stat().st_mode & 0o777 == 0o700
