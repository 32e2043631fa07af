"""Linked worktrees: their identity, and the branches they have checked out.

Git may reuse a name after a worktree is removed, so each worktree gets a random token.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jellyml.errors import UnsafeToContinue, pasteable
from jellyml.fs import atomic
from jellyml.repo.repository import Repository

_TOKEN = "jellyml"  # a file in .git/worktrees/NAME
_FORM = re.compile(r"[0-9a-f]{16}")

_REBASED = ("rebase-merge/head-name", "rebase-apply/head-name")


def mark(repository: Repository) -> None:
    """Write the token of a linked worktree, if it has none."""
    token = repository.git_dir / _TOKEN
    if repository.git_dir != repository.common_dir and not _token(repository.git_dir):
        atomic.replace(token, [os.urandom(8).hex().encode() + b"\n"])


def unmark_all(repository: Repository) -> None:
    """Remove all tokens."""
    for git_dir in (repository.common_dir / "worktrees").glob("*"):
        if _token(git_dir) and not git_dir.is_symlink():
            (git_dir / _TOKEN).unlink(missing_ok=True)


def name_of(git_dir: Path) -> str:
    """Return a name that is never reused. Without a token, it matches no known worktree."""
    return f"{git_dir.name}.{_token(git_dir)}"


def _token(git_dir: Path) -> str:
    """Return the token of a worktree; empty if it has no valid one."""
    with suppress(OSError, ValueError):
        token = atomic.read_plain(git_dir / _TOKEN, 64).decode().strip()
        if _FORM.fullmatch(token):
            return token
    return ""


def base_of(repository: Repository) -> Path:
    """Return JellyML's folder for all worktrees."""
    return repository.common_dir / "jellyml"


def removed_of(repository: Repository) -> Path:
    """Return the name that JellyML's folder has while it is being removed."""
    return repository.common_dir / "jellyml-removed"


def check_access(repository: Repository) -> None:
    """Raise UnsafeToContinue if JellyML's folder is closed, as one of another user is."""
    base = base_of(repository)
    if base.exists() and not os.access(base, os.R_OK | os.X_OK):
        raise UnsafeToContinue(
            f"{base} cannot be read: the user who loaded code here keeps the states private."
            " Nothing was changed.",
            f"have that user run: jellyml undo - or work in a clone: git clone"
            f" {pasteable(repository.root)} NEW-FOLDER",
        )


def has_any(repository: Repository) -> bool:
    """Return whether an operation was ever begun here, without creating a folder.

    Raises UnsafeToContinue as ``check_access`` does.
    """
    check_access(repository)
    if not base_of(repository).exists():
        atomic.remove_tree(removed_of(repository))  # left by a killed removal
    return folder_of(repository).is_dir()


def folder_of(repository: Repository) -> Path:
    """Return JellyML's folder for one worktree: operation log, lock and staging folder."""
    base = base_of(repository)
    if repository.git_dir == repository.common_dir:
        return base / "main"
    return base / "worktrees" / name_of(repository.git_dir)


def is_interrupted(repository: Repository) -> bool:
    """Return whether the last operation of this worktree was begun and not completed."""
    try:
        ops = folder_of(repository) / "ops"
        last = max(ops.glob("[0-9]*.json"), default=None)
        return last is not None and json.loads(atomic.read_plain(last))["status"] == "begun"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def holder(repository: Repository, ref: str) -> Path | None:
    """Return another worktree that has the branch of ``ref``, or of its alias, checked out."""
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
    """Return the branch that a rebase in progress will update when it ends."""
    for name in _REBASED:
        text = os.fsdecode(operation.get(name, b"")).strip()
        if text.startswith("refs/"):
            return text
    return None


def _resolved(repository: Repository, ref: str) -> str:
    """Return the target of a symbolic ref; the ref itself for a normal branch."""
    return repository.git.run("symbolic-ref", "-q", ref, accept=(0, 1, 128)).decode().strip() or ref


def _git_dirs(repository: Repository) -> Iterator[Path]:
    """Yield the git directories of the other worktrees, the main one first."""
    if repository.git_dir != repository.common_dir:
        yield repository.common_dir
    for one in sorted((repository.common_dir / "worktrees").glob("*")):
        if one != repository.git_dir and (_is_there(one) or (one / "locked").exists()):
            yield one


def _is_there(git_dir: Path) -> bool:
    """Return False if the worktree's folder was removed: git would prune it."""
    with suppress(OSError):
        return Path(os.fsdecode((git_dir / "gitdir").read_bytes()).strip()).exists()
    return False


def _checked_out(repository: Repository) -> Iterator[tuple[Path, str]]:
    """Yield (root, branch) of the other worktrees that exist."""
    blocks = os.fsdecode(repository.git.run("worktree", "list", "--porcelain")).split("\n\n")
    # The first block is the main worktree; its path depends on the location of the git directory.
    others = blocks[1:] if repository.git_dir == repository.common_dir else blocks
    for block in others:
        rows = dict(row.partition(" ")[::2] for row in block.splitlines())
        root = Path(rows.get("worktree", ""))
        if "branch" in rows and "prunable" not in rows and not _same(root, repository.root):
            yield root, rows["branch"]


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _worked_on(git_dir: Path) -> Iterator[str]:
    """Yield the branches that an operation in progress there will return to."""
    for name in (*_REBASED, "BISECT_START"):
        with suppress(OSError):
            text = os.fsdecode((git_dir / name).read_bytes()).strip()
            yield text if text.startswith("refs/") else f"refs/heads/{text}"


def _root_of(git_dir: Path, repository: Repository) -> Path:
    """Return a worktree's folder, given its git directory."""
    if git_dir == repository.common_dir:
        return git_dir.parent
    return Path(os.fsdecode((git_dir / "gitdir").read_bytes()).strip()).parent
