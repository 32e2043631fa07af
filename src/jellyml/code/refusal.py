"""What git means for the user when it refuses: its own words, and the way out of them."""

import os
import re
import shlex
from pathlib import Path

from jellyml.errors import ForeignRepository, GitError, NotARepository


def refusal(command: str, errors: bytes, folder: Path) -> GitError | NotARepository:
    """What git's own words mean for the user."""
    reason = _reason(os.fsdecode(errors))
    if "not a git repository" in reason:
        return NotARepository(
            f"{folder} is not a git repository.",
            "go to your project's folder, or make it a repository: git init",
        )
    if "cannot use bare repository" in reason:
        return ForeignRepository(
            f"{folder} has no working tree: it is in a git directory, or in a folder that looks"
            " like one.",
            "go to the folder of the project itself.",
        )
    if "must be run in a work tree" in reason:
        return NotARepository(
            f"{folder} has no working tree (it lies in a git directory).",
            "go to the folder of the project itself.",
        )
    if "dubious ownership" in reason:
        named = re.search(r"--add safe\.directory (.+)", reason)
        place = named[1] if named else shlex.quote(str(folder))
        return GitError(
            f"The repository at {folder} belongs to another user, so git will not read it.",
            f"git config --global --add safe.directory {place}",
        )
    said = f"git {command} failed: {reason or 'no reason given'}."
    if _MISSING.search(reason):
        return GitError(
            said,
            "git fsck says what is missing; in a partial clone, where that is so by design,"
            " ask for history='auto' or 'none'.",
        )
    return GitError(said)


# An object that git has the name of, and nothing else.
_MISSING = re.compile(r"unable to read [0-9a-f]{40}|bad (?:tree|blob) object|Blob not found")


def _reason(said: str) -> str:
    """Why git stopped; what it only warned of is no part of it."""
    lines = said.strip().splitlines()
    if any(line.startswith(("fatal:", "error:")) for line in lines):
        lines = [line for line in lines if not line.startswith("warning:")]
    return "\n".join(lines)
