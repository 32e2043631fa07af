"""Which other worktree of the repository has a branch, so that it must not be had here too.

As git sees it: a branch is taken by the worktree whose HEAD is on it, and by the one that is
rebasing or bisecting it. Where there is one worktree only, git is not asked.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jellyml.code.repository import Repository

_REBASED = ("rebase-merge/head-name", "rebase-apply/head-name")


def holder(repository: Repository, ref: str) -> Path | None:
    """Another worktree that has the branch which ``ref`` (an alias, perhaps) stands for."""
    if not any(_git_dirs(repository)):
        return None
    wanted = {ref, _resolved(repository, ref)}
    for root, branch in _checked_out(repository):
        if branch in wanted:
            return root
    for git_dir in _git_dirs(repository):
        if wanted & set(_worked_on(git_dir)):
            return _root_of(git_dir, repository)
    return None


def rebased(operation: Mapping[str, bytes]) -> str | None:
    """The branch that a rebase in progress will move when it ends."""
    for name in _REBASED:
        text = os.fsdecode(operation.get(name, b"")).strip()
        if text.startswith("refs/"):
            return text
    return None


def _resolved(repository: Repository, ref: str) -> str:
    """The branch that a branch is an alias of; itself, when it is none."""
    return repository.git.run("symbolic-ref", "-q", ref, accept=(0, 1, 128)).decode().strip() or ref


def _git_dirs(repository: Repository) -> Iterator[Path]:
    """Those of the other worktrees, the main one's first."""
    if repository.git_dir != repository.common_dir:
        yield repository.common_dir
    for one in sorted((repository.common_dir / "worktrees").glob("*")):
        if one != repository.git_dir and (_is_there(one) or (one / "locked").exists()):
            yield one


def _is_there(git_dir: Path) -> bool:
    """False for what is left of a worktree whose folder was removed: git would prune it."""
    with suppress(OSError):
        return Path(os.fsdecode((git_dir / "gitdir").read_bytes()).strip()).exists()
    return False


def _checked_out(repository: Repository) -> Iterator[tuple[Path, str]]:
    """(root, branch) of the other worktrees that are there."""
    blocks = os.fsdecode(repository.git.run("worktree", "list", "--porcelain")).split("\n\n")
    # The first is the main one, by whatever name: git goes by where the git directory lies.
    others = blocks[1:] if repository.git_dir == repository.common_dir else blocks
    for block in others:
        rows = dict(row.partition(" ")[::2] for row in block.splitlines())
        root = Path(rows.get("worktree", ""))
        if "branch" in rows and "prunable" not in rows and not _same(root, repository.root):
            yield root, rows["branch"]


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _worked_on(git_dir: Path) -> Iterator[str]:
    """The branches that an operation in progress there will come back to."""
    for name in (*_REBASED, "BISECT_START"):
        with suppress(OSError):
            text = os.fsdecode((git_dir / name).read_bytes()).strip()
            yield text if text.startswith("refs/") else f"refs/heads/{text}"


def _root_of(git_dir: Path, repository: Repository) -> Path:
    """A worktree's folder, by its git directory."""
    if git_dir == repository.common_dir:
        return git_dir.parent
    return Path(os.fsdecode((git_dir / "gitdir").read_bytes()).strip()).parent
