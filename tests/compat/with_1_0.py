"""Our files in JellyML 1.0 itself, and its files in ours.

Not collected by itself, because it needs a package index: ``make check-1.0`` does its set-up.

1.0 asks for a torch of its time; it is given the one the tests run with. It is run, never read.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from checkpoint_files import appended, saved, tensor
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.snapshot import serialization

SAVE = """
import jellyml, sys, torch
torch.save({"weight": torch.ones(2), **jellyml.create_snapshot()}, sys.argv[1])
"""


@pytest.fixture
def old(home: Path) -> Callable[..., None]:
    """Runs a program of 1.0's environment in a folder."""
    programs = Path(os.environ["JELLYML_1_0"]).absolute().parent
    (home / ".gitconfig").write_text("[user]\nname = A\nemail = a@example.org\n")
    torch_is_in = {"PYTHONPATH": str(Path(torch.__file__).parents[1])}

    def run(folder: Folder, program: str, *args: str | Path) -> None:
        command = [programs / program, *args]
        done = subprocess.run(
            command, cwd=folder.path, env=os.environ | torch_is_in, capture_output=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def files(folder: Folder) -> dict[str, bytes]:
    names = folder.git("ls-files").decode().split()
    return {name: folder.read(name) for name in names}


def other_repository(path: Path) -> Folder:
    path.mkdir()
    folder = Folder(path)
    folder.git("init", "-q")
    folder.write("train.py", "print('another project')\n")
    folder.commit()
    return folder


@pytest.mark.parametrize("layout", ["manifest last", "manifest first", "appended"])
def test_ours_opens_in_1_0(
    layout: str, repo: Folder, tmp_path: Path, old: Callable[..., None]
) -> None:
    """With every field that a header of ours can have, and with the manifest beside it."""
    commit = repo.git("rev-parse", "HEAD").decode().strip()
    bundle = repo.git("bundle", "create", "-q", "-", "HEAD")
    head = serialization.header(bundle, commit=commit, stands_for="2" * 40, object_format="sha1")
    manifest = serialization.manifest_record(
        {"commit": commit, "command": ["train.py", "--lr", "1"]}
    )
    ours, weights = {KEY: tensor(head + bundle)}, {"weight": torch.ones(2)}
    beside = {MANIFEST_KEY: tensor(manifest)}
    path = tmp_path / "model.pth"
    if layout == "manifest last":
        path.write_bytes(saved({**weights, **ours, **beside}))
    elif layout == "manifest first":
        path.write_bytes(saved({**beside, **ours, **weights}))
    else:
        with_manifest = appended(saved(weights), f"archive/data/{MANIFEST_KEY}", manifest)
        path.write_bytes(appended(with_manifest, f"archive/data/{KEY}", head + bundle))

    # Into a repository: into any other folder 1.0 loads nothing, not even its own files.
    target = other_repository(tmp_path / "target")
    old(target, "jellyml", "load-snapshot-from", path, "--no_donut")
    old(target, "jellyml", "fix", "extract-bundle", path, "-o", tmp_path / "extracted.bundle")

    assert target.git("rev-parse", "HEAD").decode().strip() == commit
    assert files(target) == files(repo)
    assert (tmp_path / "extracted.bundle").read_bytes() == bundle


@pytest.mark.parametrize("dirty", [False, True])
def test_its_files_open_in_ours(
    dirty: bool, repo: Folder, tmp_path: Path, old: Callable[..., None]
) -> None:
    if dirty:
        repo.write("train.py", "print('edited')\n")
        repo.write("new file.txt", "untracked\n")
    path = tmp_path / "model.pth"
    old(repo, "python", "-c", SAVE, path)

    (tmp_path / "its.bundle").write_bytes(b"".join(Checkpoint.open(path).bundle()))
    repo.git("clone", "-q", str(tmp_path / "its.bundle"), str(tmp_path / "clone"))

    repo.git("add", "-A")
    clone = Folder(tmp_path / "clone")
    assert clone.git("ls-files", "-s") == repo.git("ls-files", "-s")
