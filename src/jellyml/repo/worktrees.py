"""Linked worktrees: the identity of each, and which of them has a branch checked out.

A name may be given to another worktree when the first is gone.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jellyml.fs import atomic
from jellyml.repo.repository import Repository

_TOKEN = "jellyml"  # a file in .git/worktrees/NAME
_FORM = re.compile(r"[0-9a-f]{16}")

_REBASED = ("rebase-merge/head-name", "rebase-apply/head-name")


def mark(repository: Repository) -> None:
    """Give a linked worktree its token, where it has none."""
    token = repository.git_dir / _TOKEN
    if repository.git_dir != repository.common_dir and not _token(repository.git_dir):
        atomic.replace(token, [os.urandom(8).hex().encode() + b"\n"])


def unmark_all(repository: Repository) -> None:
    """Take the tokens away again."""
    for git_dir in (repository.common_dir / "worktrees").glob("*"):
        if _token(git_dir) and not git_dir.is_symlink():
            (git_dir / _TOKEN).unlink(missing_ok=True)


def name_of(git_dir: Path) -> str:
    """The name that nobody had before; of one without a token, a name that nobody has."""
    return f"{git_dir.name}.{_token(git_dir)}"


def _token(git_dir: Path) -> str:
    """The token of a worktree; empty where it has none of the form that ``mark`` gives."""
    with suppress(OSError, ValueError):
        token = atomic.read_plain(git_dir / _TOKEN, 64).decode().strip()
        if _FORM.fullmatch(token):
            return token
    return ""


def base_of(repository: Repository) -> Path:
    """Where all of ours lies, of all worktrees."""
    return repository.common_dir / "jellyml"


def removed_of(repository: Repository) -> Path:
    """Where it lies for the moment that its removal takes."""
    return repository.common_dir / "jellyml-removed"


def has_any(repository: Repository) -> bool:
    """True where an operation was ever begun: to ask must not make a folder."""
    if not base_of(repository).exists():
        atomic.remove_tree(removed_of(repository))  # of a removal that was killed
    return folder_of(repository).is_dir()


def folder_of(repository: Repository) -> Path:
    """Our folder for one worktree: journal, lock, and what is being moved."""
    base = base_of(repository)
    if repository.git_dir == repository.common_dir:
        return base / "main"
    return base / "worktrees" / name_of(repository.git_dir)


def is_interrupted(repository: Repository) -> bool:
    """True when the last operation in this worktree's journal was begun and not done."""
    try:
        ops = folder_of(repository) / "ops"
        last = max(ops.glob("[0-9]*.json"), default=None)
        return last is not None and json.loads(atomic.read_plain(last))["status"] == "begun"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


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
