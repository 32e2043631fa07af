"""The patch and the changed files of two commits, which may be in different places."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, cast

from jellyml.compare.commits import shared_git
from jellyml.compare.endpoints import Endpoint
from jellyml.quarantine.reader import DIFF, answering
from jellyml.repo.git import Git

_CHUNK = 1 << 16
_MOST_FILES = 100_000
_STATUS = {"A": "added", "D": "deleted", "M": "changed", "T": "changed", "R": "renamed"}

Status = Literal["added", "deleted", "changed", "renamed"]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that differs; ``before`` is its old name if it was renamed."""

    status: Status
    path: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """Two commits, and a git that reads the objects of both while the block runs."""

    git: Git
    before: str
    after: str

    def patch(self) -> Iterator[bytes]:
        """Yield the output of ``git diff`` in pieces. Raises BadSnapshot if a limit is exceeded."""
        with answering(self.git, *DIFF, self.before, self.after) as stdout:
            while piece := stdout.read(_CHUNK):
                yield piece

    def files(self) -> Iterator[ChangedFile]:
        """Yield the files that differ, in git's order, 100,000 at most."""
        words = (*DIFF, "--raw", "-z", self.before, self.after)
        with answering(self.git, *words) as stdout:
            fields = _fields(iter(lambda: stdout.read(_CHUNK), b""))
            for _, row in zip(range(_MOST_FILES), fields, strict=False):
                letter = row.rpartition(b" ")[2][:1].decode()
                status = cast("Status", _STATUS.get(letter, "changed"))
                path = os.fsdecode(next(fields))
                if status == "renamed":
                    yield ChangedFile(status, os.fsdecode(next(fields)), path)
                else:
                    yield ChangedFile(status, path)


@contextmanager
def compare(one: Endpoint, other: Endpoint) -> Iterator[Code]:
    """Yield both commits. Raises NoSnapshot, BadSnapshot or UsageError if one has no code."""
    with ExitStack() as stack:
        before = stack.enter_context(one.commit())
        after = stack.enter_context(other.commit(before))
        git = stack.enter_context(shared_git([before, after]))
        yield Code(git, before.oid, after.oid)


def _fields(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *fields, rest = (rest + piece).split(b"\0")
        yield from fields
