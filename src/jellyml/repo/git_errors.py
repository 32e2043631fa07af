"""Translate git's errors: what failed, and what the user can do."""

import os
import re
import shlex
import signal
from pathlib import Path

from jellyml.errors import ForeignRepository, GitError, NotARepository

# The signals a kernel sends to a process that exceeds its processor time.
_OUT_OF_TIME = {getattr(signal, name, None) for name in ("SIGXCPU", "SIGKILL")}
_ALLOW_MORE = "if you trust its author, allow more with --max-unpacked."


def refusal(
    command: str, errors: bytes, folder: Path, status: int = 1, *, is_limited: bool = False
) -> GitError | NotARepository:
    """Return the error for git's message, or for the signal that ended it.

    ``is_limited``: git was reading untrusted objects, with limits on time and memory.
    """
    reason = _reason(os.fsdecode(errors))
    if status < 0:
        return _killed(command, -status, is_limited=is_limited)
    if is_limited and re.search(r"(?i)out of memory", reason):
        return _beyond(command, "memory")
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
            f"{folder} has no working tree (it is in a git directory).",
            "go to the folder of the project itself.",
        )
    if "dubious ownership" in reason:
        named = re.search(r"--add safe\.directory (.+)", reason)
        place = named[1] if named else shlex.quote(str(folder))
        return GitError(
            f"The repository at {folder} belongs to another user, so git will not read it.",
            f"git config --global --add safe.directory {place}",
        )
    message = f"git {command} failed: {reason or 'no reason given'}."
    if _MISSING.search(reason):
        return GitError(
            message,
            "git fsck says what is missing; in a partial clone, where that is so by design,"
            " ask for history='auto' or 'none'.",
        )
    return GitError(message)


def _killed(command: str, number: int, *, is_limited: bool) -> GitError:
    if is_limited and number in _OUT_OF_TIME:
        return _beyond(command, "processor time")
    name = signal.strsignal(number) or "unknown"
    return GitError(
        f"git {command} was ended by signal {number} ({name}).",
        "try again; a system that runs out of memory ends programs so.",
    )


def _beyond(command: str, what: str) -> GitError:
    return GitError(
        f"The code in this checkpoint takes more {what} than is allowed (in git {command}).",
        _ALLOW_MORE,
    )


# git has the name of an object, but not the object.
_MISSING = re.compile(r"unable to read [0-9a-f]{40}|bad (?:tree|blob) object|Blob not found")


def _reason(output: str) -> str:
    """Return why git stopped, without its warnings."""
    lines = output.strip().splitlines()
    if any(line.startswith(("fatal:", "error:")) for line in lines):
        lines = [line for line in lines if not line.startswith("warning:")]
    return "\n".join(lines)
