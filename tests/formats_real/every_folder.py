"""Checkpoints that are folders: their readers pass over the two files that we put beside theirs."""

from pathlib import Path

import pytest
from every_format import FACTS, PAYLOAD, snapshot
from of_folders import FOLDERS, KEYED, Folder
from results import installed, keep, versions

import jellyml
from checkpoint_files import bundle
from jellyml.checkpoint import Checkpoint

pytestmark = pytest.mark.filterwarnings("ignore")

FIRST = 900  # behind the files, in the table


def contents(folder: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize("one", FOLDERS, ids=lambda one: one.name)
def test_a_folder(one: Folder, tmp_path: Path) -> None:
    order = FIRST + FOLDERS.index(one)
    version = versions(one.name, one.libraries, order)
    path = tmp_path / "checkpoint"
    one.write(path)
    before, files = one.read(path), contents(path)
    assert before

    jellyml.fill(path, snapshot())

    assert one.read(path) == before
    assert b"".join(Checkpoint.open(path).bundle()) == bundle()
    jellyml.strip(path)
    assert contents(path) == files
    keep(
        {
            "name": one.name,
            "format": "two files beside its own",
            "version": version,
            "order": order,
            "line": one.line,
            "fill": True,
            "in place": True,
            "caution": "",
            "readers": one.readers,
        }
    )


@pytest.mark.parametrize("name", KEYED)
def test_saved_under_the_key(name: str, tmp_path: Path) -> None:
    """Found in one file of the folder, by a search of them all."""
    libraries, write = KEYED[name]
    installed(name, libraries)
    write(tmp_path / "checkpoint", PAYLOAD)
    found = Checkpoint.open(tmp_path / "checkpoint")
    assert b"".join(found.bundle()) == bundle()
    assert found.manifest == FACTS
