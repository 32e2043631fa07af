"""The facts that a capture collects about the code, and the files that it left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jellyml.snapshot.in_use import CodeInUse

_MB = 1_000_000

Reason = Literal["checkpoint", "too large", "too much", "unreadable", "name", "promised"]
_EXPLAINED: dict[Reason, str] = {
    "checkpoint": "it is a checkpoint",
    "too large": "it is larger than max_file_size",
    "too much": "the untracked files together are larger than max_untracked",
    "unreadable": "it cannot be read",
    "promised": "it is hidden by a sparse checkout, and this partial clone does not have it",
    "name": "its name, or the target of its link, is another path on some file systems",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not in the snapshot; ``os.fsencode(path)`` gives git's bytes of the path."""

    path: str
    reason: Reason
    size: int | None = None

    @property
    def explained(self) -> str:
        """The reason and the size, to follow a colon in a message."""
        size = "" if self.size is None else f" ({format_size(self.size)})"
        return _EXPLAINED[self.reason] + size


def format_size(size: int) -> str:
    """Return a number of bytes as text, such as ``31.4 MB``."""
    for unit, name in ((1000 * _MB, "GB"), (_MB, "MB"), (1000, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


@dataclass(frozen=True, slots=True)
class Data:
    """A file that looks like data; ``size`` in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Nested:
    """A submodule or nested repository whose files are in the snapshot as regular files."""

    path: str
    commit: str | None
    branch: str | None
    remotes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Credential:
    """The location of a possible credential, never its text.

    ``path`` is relative to the root, or describes another place: ``the message of commit
    1234567``. ``line`` is counted from 1.
    """

    path: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} in line {self.line} of {self.path}"


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """Facts about the captured code. Addresses are unmasked; the manifest masks them."""

    root: Path
    commit: str | None = None  # the snapshot's
    base: str | None = None  # HEAD's
    branch: str | None = None
    remotes: Mapping[str, str] = field(default_factory=dict)
    dirty: bool = False
    changed: int = 0  # how many paths differ from base
    left_out: tuple[LeftOut, ...] = ()
    nested: tuple[Nested, ...] = ()
    raw: tuple[str, ...] = ()  # files captured without their filter
    secrets: tuple[Credential, ...] = ()  # possible ones
    data: tuple[Data, ...] = ()  # untracked files that look like data
    cut: str = ""  # why the history is incomplete
    commit_texts: Mapping[str, bytes] = field(
        default_factory=dict
    )  # original commits of a cut history
    bundle_sha256: str | None = None
    error: str | None = None
    in_use: CodeInUse = field(default_factory=CodeInUse)  # what the process has loaded
    report: tuple[str, ...] = ()  # all that was said about the capture
