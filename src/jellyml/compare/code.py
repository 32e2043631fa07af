"""The difference of two commits, wherever they lie, as git shows it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, cast

from jellyml.compare.commits import seen_together
from jellyml.compare.endpoints import Endpoint
from jellyml.quarantine.reader import DIFF, answering
from jellyml.repo.git import Git

_CHUNK = 1 << 16
_MOST_FILES = 100_000
_STATUS = {"A": "added", "D": "deleted", "M": "changed", "T": "changed", "R": "renamed"}

Status = Literal["added", "deleted", "changed", "renamed"]


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that differs; ``before`` is its old name where that is another."""

    status: Status
    path: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """Two commits in a git that sees both, for as long as the block lasts."""

    git: Git
    before: str
    after: str

    def patch(self) -> Iterator[bytes]:
        """As ``git diff`` prints it, a piece at a time; BadSnapshot where it takes too much."""
        with answering(self.git, *DIFF, self.before, self.after) as stdout:
            while piece := stdout.read(_CHUNK):
                yield piece

    def files(self) -> Iterator[ChangedFile]:
        """The files that differ, in git's order; 100,000 at most."""
        words = (*DIFF, "--raw", "-z", self.before, self.after)
        with answering(self.git, *words) as stdout:
            fields = _fields(iter(lambda: stdout.read(_CHUNK), b""))
            for _, row in zip(range(_MOST_FILES), fields, strict=False):
                letter = row.rpartition(b" ")[2][:1].decode()
                status = cast("Status", _STATUS.get(letter, "changed"))
                first = os.fsdecode(next(fields))
                if status == "renamed":
                    yield ChangedFile(status, os.fsdecode(next(fields)), first)
                else:
                    yield ChangedFile(status, first)


@contextmanager
def compared(one: Endpoint, other: Endpoint) -> Iterator[Code]:
    """NoSnapshot, BadSnapshot, UsageError where one of the two has no code."""
    with ExitStack() as stack:
        commits = [stack.enter_context(side.commit()) for side in (one, other)]
        git = stack.enter_context(seen_together(commits))
        yield Code(git, commits[0].oid, commits[1].oid)


def _fields(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *fields, rest = (rest + piece).split(b"\0")
        yield from fields
