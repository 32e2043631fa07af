"""The user's repository: find it with git, guess its location, or create one.

A guess saves starting git. Git's first answer confirms it, or raises WrongGuess.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from jellyml.errors import NotARepository
from jellyml.formats.signatures import Use, suffixes
from jellyml.repo.git import Git
from jellyml.repo.work_tree import check_points_back, check_work_tree, in_git_directory

_OWN_CONFIG = "file:.git/config"
_GIT_DIRECTORY = {"HEAD", "objects", "refs"}

_WEIGHTS = "\n".join(f"*{suffix}" for suffix in suffixes(Use.IGNORED))

IGNORE = f"""\
# Written by JellyML when it made this repository. Yours to change.
__pycache__/
*.py[cod]
.ipynb_checkpoints/
.venv/
venv/
.env
*.egg-info/
build/
dist/

# data and results, which are large or can be made again
/data/
/datasets/
/runs/
/wandb/
/mlruns/
/lightning_logs/
/outputs/
*.log

# checkpoints: the code lives in them, not they in the code
{_WEIGHTS}
"""


@dataclass(frozen=True)
class Repository:
    """The user's repository: the paths of its parts, and git running in it."""

    root: Path
    git_dir: Path
    common_dir: Path
    object_format: str
    deadline: float | None = None
    guessed: bool = False  # git has not confirmed the location yet

    @classmethod
    def find(cls, folder: Path, deadline: float | None = None) -> "Repository":
        """Find the repository whose working tree contains ``folder``.

        Raises NotARepository, GitError, and ForeignRepository if the working tree does not belong
        to that repository (``repo.work_tree``).
        """
        git = Git(folder, deadline=deadline)
        options = ("--show-object-format", "--show-toplevel", "--git-dir", "--git-common-dir")
        lines = git.run("rev-parse", *options).removesuffix(b"\n").split(b"\n")
        if len(lines) != 4:  # a path contains a newline: query each one separately
            lines = [git.run("rev-parse", one).removesuffix(b"\n") for one in options]
        object_format, root, git_dir, common = map(os.fsdecode, lines)
        # Resolved, because they are compared: git may return relative paths, with "..".
        own, shared = ((folder.resolve() / one).resolve() for one in (git_dir, common))
        repository = cls(Path(root), own, shared, object_format, deadline)
        check_work_tree(repository.root, own, folder, git)
        return repository

    @cached_property
    def git(self) -> Git:
        if self.guessed:  # git must find it itself, or it would skip the ownership check
            return Git(self.root, deadline=self.deadline)
        # Named explicitly: with core.worktree set, git cannot find it from the working tree.
        return Git(self.root, self.git_dir, self.root, deadline=self.deadline)

    @cached_property
    def objects(self) -> Path:
        return self.common_dir / "objects"

    @cached_property
    def index(self) -> Path:
        return self.git_dir / "index"

    def check_points_back(self) -> None:
        """Raise ForeignRepository unless the git directory records this working tree.

        Call it before anything is written in the git directory.
        """
        check_points_back(self.root, self.git_dir, self.git)

    def commit(self) -> str | None:
        """Return the commit of HEAD; None if it is unborn."""
        answer = self.git.run("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1))
        return answer.decode().strip() or None


class WrongGuess(Exception):
    """Git does not find the repository at the guessed location."""


def guess(folder: Path, deadline: float | None = None) -> Repository | None:
    """Return the repository of ``folder`` in the simplest layout, unconfirmed; else None.

    Only layouts whose index git can read in place. Any other needs an explicit git directory,
    and then git skips its ownership check.
    """
    if "GIT_CEILING_DIRECTORIES" in os.environ:
        return None
    inside = folder.resolve()
    try:
        device = inside.stat().st_dev
        for root in (inside, *inside.parents):
            own = root / ".git"
            if os.path.lexists(own):
                plain = not own.is_symlink() and _is_plain(own) and own not in inside.parents
                return Repository(root, own, own, "", deadline, guessed=True) if plain else None
            # Git stops at a file system boundary, and at a bare git directory.
            if root.stat().st_dev != device or (root / "HEAD").exists():
                return None
    except OSError:
        pass
    return None


def _is_plain(own: Path) -> bool:
    with os.scandir(own) as entries:
        names = {entry.name for entry in entries}
    shared = any(name.startswith("sharedindex.") for name in names)
    sparse = (own / "info" / "sparse-checkout").exists()
    return names >= _GIT_DIRECTORY and "commondir" not in names and not shared and not sparse


def confirmed(place: Repository, origins: Collection[str], config: Mapping[str, str]) -> Repository:
    """Return the repository after git, run in its root, has read its configuration.

    Git reports that file's path as relative to its folder only if it found the repository there.
    Raises WrongGuess otherwise.
    """
    if not place.guessed:
        return place
    if _OWN_CONFIG not in origins or "core.worktree" in config:
        raise WrongGuess
    object_format = config.get("extensions.objectformat", "sha1")
    return replace(place, object_format=object_format, guessed=False)


def make_repository(folder: Path) -> None:
    """Run ``git init``, and add a ``.gitignore`` if there is none. Never over an existing one.

    Raises NotARepository, GitError, OSError.
    """
    if in_git_directory(folder):
        raise NotARepository(
            f"{folder} has a .git, or is in a git directory, but is not a git repository"
            " with a working tree.",
            "mend or remove it; none is made over it.",
        )
    # An empty template: the user's template may add hooks and files.
    Git(folder).run("init", "-q", "--template=")
    with suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
        file.write(IGNORE)
