"""What was saved has the code in it: cloning what is found shows the edit."""

import shutil
from pathlib import Path

from conftest import Folder
from jellyml.checkpoint import Checkpoint


def carries(path: Path, repo: Folder) -> None:
    bundle = repo.path.parent / "found.bundle"
    bundle.write_bytes(b"".join(Checkpoint.open(path).bundle()))
    clone = Folder(repo.path.parent / "clone")
    repo.git("clone", "-q", str(bundle), str(clone.path))
    assert clone.read("train.py") == b"edited\n"
    shutil.rmtree(clone.path)
