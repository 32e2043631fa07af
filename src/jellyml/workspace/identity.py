"""Which linked worktree is which: a name may be given to another one when the first is gone.

A token in the worktree's own git directory goes when git removes the worktree. One that is
made anew under the same name has none, and so does not find the journal of the first.
"""

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
