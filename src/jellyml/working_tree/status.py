"""What git says of a working tree, asked at one go."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jellyml.code.guess import WrongGuess, confirmed
from jellyml.code.reading import reading, without_filters
from jellyml.code.repository import Git, Repository
from jellyml.errors import GitError, TookTooLong

_STATUS = (
    "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames",
    "--ignore-submodules=dirty", "-z", "-uall",
)  # fmt: skip
_CONFIG = ("config", "-z", "--list", "--show-origin")
_LIST = ("ls-files", "-s", "-v", "-z")


@dataclass(slots=True)
class PlainIndexes:
    """Indexes in which status looks at every path, by checksum; and whether they list rules.

    ``before`` is what an earlier glance found, ``now`` what this one finds.
    """

    before: dict[str, bool] = field(default_factory=dict)
    now: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """Git's own words, not yet understood."""

    repository: Repository
    config: dict[str, str]
    status: bytes
    errors: bytes
    index: str  # its checksum; empty where that says nothing
    listed: bytes | None  # None where the index was known to be plain


def glance(
    place: Repository,
    *,
    ignored: bool,
    plain: PlainIndexes,
    meanwhile: Callable[[Repository], None],
) -> Said:
    """Ask for everything; ``meanwhile`` is called while git is at work.

    Raises WrongGuess where ``place`` was a guess and git does not bear it out.
    """
    try:
        return _asked(place, ignored, plain, meanwhile)
    except TookTooLong:
        raise
    except GitError:
        if place.guessed:
            raise WrongGuess from None
        raise


def _asked(
    place: Repository,
    ignored: bool,
    plain: PlainIndexes,
    meanwhile: Callable[[Repository], None],
) -> Said:
    asked = (*_STATUS, "--ignored=matching") if ignored else _STATUS
    index = _checksum(place)
    with (
        reading(place) as git,
        _listing(git, needed=index not in plain.before) as listing,
    ):
        # First: only with the names of all filters known can status be kept from running any.
        origins, config = _config(git.run(*_CONFIG))
        repository = confirmed(place, origins, config)
        with without_filters(git, config).start(*asked) as status:
            meanwhile(repository)
            listed = listing()
            output, errors = git.collect(status)
        if index != _checksum(place):  # somebody staged or committed something
            index, listed = "", git.run(*_LIST)
        return Said(repository, config, output, errors, index, listed)


@contextmanager
def _listing(git: Git, *, needed: bool) -> Iterator[Callable[[], bytes | None]]:
    if needed:
        with git.start(*_LIST) as files:
            yield lambda: git.collect(files)[0]
    else:
        yield lambda: None


def _checksum(repository: Repository) -> str:
    """What the index says of its own bytes, as their name; empty where it does not."""
    if (repository.git_dir / "info" / "sparse-checkout").exists():
        return ""  # there flags depend on what lies on disk, too
    try:
        with repository.index.open("rb", buffering=0) as file:
            size = file.seek(-20, os.SEEK_END) + 20
            end = file.read(20)
    except OSError:
        return ""
    return f"{size}-{end.hex()}" if any(end) else ""  # index.skipHash leaves zeros


def _config(output: bytes) -> tuple[set[str], dict[str, str]]:
    """Where settings come from, and the settings."""
    parts = output.split(b"\0")[:-1]
    pairs = (item.partition(b"\n") for item in parts[1::2])
    config = {os.fsdecode(key): os.fsdecode(value) if eq else "true" for key, eq, value in pairs}
    return {os.fsdecode(origin) for origin in parts[::2]}, config
