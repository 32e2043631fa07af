"""A repository: find it with git, guess it where git would find it too, or make a new one.

A guess is confirmed by git's first answer.
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
from jellyml.repo.work_tree import check_git_file, check_work_tree, in_git_directory

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
    """The user's repository: where its parts lie, and git started in it."""

    root: Path
    git_dir: Path
    common_dir: Path
    object_format: str
    deadline: float | None = None
    guessed: bool = False  # git is still to be asked whether it lies there

    @classmethod
    def find(cls, folder: Path, deadline: float | None = None) -> "Repository":
        """The repository whose working tree holds ``folder``.

        Raises NotARepository, GitError, and ForeignRepository where the working tree is not the
        repository's own (``code.work_tree``).
        """
        git = Git(folder, deadline=deadline)
        check_git_file(folder)
        asked = ("--show-object-format", "--show-toplevel", "--git-dir", "--git-common-dir")
        lines = git.run("rev-parse", *asked).removesuffix(b"\n").split(b"\n")
        if len(lines) != 4:  # a path holds a newline: ask for each alone
            lines = [git.run("rev-parse", one).removesuffix(b"\n") for one in asked]
        object_format, root, git_dir, common = map(os.fsdecode, lines)
        # Resolved, since the two are compared: git may give them from the folder, with "..".
        own, shared = ((folder.resolve() / one).resolve() for one in (git_dir, common))
        found = cls(Path(root), own, shared, object_format, deadline)
        check_work_tree(found.root, own, folder)
        return found

    @cached_property
    def git(self) -> Git:
        if self.guessed:  # git must find it by itself, or it would not ask whose it is
            return Git(self.root, deadline=self.deadline)
        # By name: with core.worktree set it could not be found from the working tree.
        return Git(self.root, self.git_dir, self.root, deadline=self.deadline)

    @cached_property
    def objects(self) -> Path:
        return self.common_dir / "objects"

    @cached_property
    def index(self) -> Path:
        return self.git_dir / "index"

    def commit(self) -> str | None:
        """The id HEAD stands at, or None when it is unborn."""
        answer = self.git.run("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1))
        return answer.decode().strip() or None


class WrongGuess(Exception):
    """Git does not find the repository where it was guessed to be."""


def guess(folder: Path, deadline: float | None = None) -> Repository | None:
    """The repository of ``folder`` in the plainest case, None in others; not yet confirmed.

    Only where git will read the index as it lies: what has to be read from a copy is named to
    git, which then does not ask whose it is.
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
            # Git looks no further than its file system, or a git directory without a folder.
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
    """The repository once git, asked in its root, has read the configuration that lies there.

    It names that file from its own folder only where it has found the repository in it.
    Raises WrongGuess where it has not.
    """
    if not place.guessed:
        return place
    if _OWN_CONFIG not in origins or "core.worktree" in config:
        raise WrongGuess
    object_format = config.get("extensions.objectformat", "sha1")
    return replace(place, object_format=object_format, guessed=False)


def make_repository(folder: Path) -> None:
    """``git init``, and a ``.gitignore`` unless there is one. Never over one that is there.

    Raises NotARepository, GitError, OSError.
    """
    if in_git_directory(folder):
        raise NotARepository(
            f"{folder} has a .git, or lies in a git directory, but is not a git repository"
            " with a working tree.",
            "mend or remove it; none is made over it.",
        )
    # An empty template: the user's own may bring hooks and files along.
    Git(folder).run("init", "-q", "--template=")
    with suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
        file.write(IGNORE)
