"""Git as it is to read the user's index: nothing touched, and no untrue setting believed."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jellyml.code.repository import Git, Repository

# A worktree's own parts of a git directory that a status reads.
_OWN_PARTS = ("HEAD", "index", "config.worktree", "info/sparse-checkout")


@contextmanager
def reading(repository: Repository, filters: bool) -> Iterator[Git]:
    """Git on the user's index as it is.

    A split one is read from a copy: git marks its shared part as used whenever it reads it.
    """
    # Untrue settings hide files: git believes that README and readme are one.
    folds = (repository.git_dir / "head").exists()
    git = repository.git.configured(core__ignoreCase=str(folds).lower())
    if not filters:
        git = without_filters(git)
    shared = [path.name for path in repository.git_dir.glob("sharedindex.*")]
    if not shared:
        yield git
        return
    with tempfile.TemporaryDirectory(prefix="jellyml-") as name:
        place = Path(name)
        (place / "info").mkdir()
        for part in (*_OWN_PARTS, *shared):
            if (repository.git_dir / part).exists():
                shutil.copy2(repository.git_dir / part, place / part)
        (place / "commondir").write_bytes(os.fsencode(repository.common_dir))
        yield replace(git, directory=place)


def without_filters(git: Git) -> Git:
    """An empty program is none: git then takes the bytes as they lie."""
    listed = git.run("config", "-z", "--name-only", "--get-regexp", r"^filter\.", accept=(0, 1))
    names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    off = {name: "false" if name.endswith(".required") else "" for name in names}
    return replace(git, config=git.config | off)


def without_required_filters(git: Git, config: Mapping[str, str]) -> Git:
    """A required filter that is missing makes status itself fail.

    Without the requirement its rows are right: the file then counts as modified.
    """
    names = [key for key in config if key.startswith("filter.") and key.endswith(".required")]
    return replace(git, config=git.config | dict.fromkeys(names, "false"))
