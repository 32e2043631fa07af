"""Which worktree is which: a name may be given to another one when the first is gone.

A token in the worktree's own git directory goes when git removes the worktree. One that is
made anew under the same name has none, and so does not find the journal of the first.
"""

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from jellyml import files
from jellyml.code.repository import Repository

_TOKEN = "jellyml"  # a file in .git/worktrees/NAME
_FORM = re.compile(r"[0-9a-f]{16}")


def mark(repository: Repository) -> None:
    """Give a linked worktree its token, where it has none."""
    token = repository.git_dir / _TOKEN
    if repository.git_dir != repository.common_dir and not _token(repository.git_dir):
        files.replace(token, [os.urandom(8).hex().encode() + b"\n"])


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
        token = files.read_plain(git_dir / _TOKEN, 64).decode().strip()
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
        files.remove_tree(removed_of(repository))  # of a removal that was killed
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
        return last is not None and json.loads(files.read_plain(last))["status"] == "begun"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
