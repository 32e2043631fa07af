"""Which worktree is which: a name may be given to another one when the first is gone.

A token in the worktree's own git directory goes when git removes the worktree. One that is
made anew under the same name has none, and so does not find the journal of the first.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from jellyml import files
from jellyml.code.repository import Repository

_TOKEN = "jellyml"  # a file in .git/worktrees/NAME


def mark(repository: Repository) -> None:
    """Give a linked worktree its token, where it has none."""
    token = repository.git_dir / _TOKEN
    if repository.git_dir != repository.common_dir and not token.exists():
        files.replace(token, [os.urandom(8).hex().encode() + b"\n"])


def unmark_all(repository: Repository) -> None:
    """Take the tokens away again."""
    for token in (repository.common_dir / "worktrees").glob(f"*/{_TOKEN}"):
        token.unlink(missing_ok=True)


def name_of(git_dir: Path) -> str:
    """The name that nobody had before; of one without a token, a name that nobody has."""
    token = b""
    with suppress(OSError):
        token = (git_dir / _TOKEN).read_bytes()
    return f"{git_dir.name}.{token.decode(errors='replace').strip()}"


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
        return last is not None and json.loads(last.read_bytes())["status"] == "begun"
    except (OSError, ValueError, KeyError, TypeError):
        return False
