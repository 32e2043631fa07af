"""Commits from several places seen by one git: a checkpoint's, a repository's, a working tree's."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import JellyError, UsageError
from jellyml.fs import tempdirs
from jellyml.quarantine.quarantine import Limits, VerifiedCode
from jellyml.repo.git import Git, make_bare
from jellyml.repo.repository import Repository
from jellyml.working_tree import reader, selection
from jellyml.working_tree.commit import commit_of
from jellyml.working_tree.scratch import scratch

_CONFIG = {
    "core.bigFileThreshold": "16m",  # a larger file is never held in memory
    "core.deltaBaseCacheLimit": "32m",
    "core.packedGitLimit": "32m",
    "core.packedGitWindowSize": "8m",
    "core.fsync": "none",
}


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and where its objects lie; ``limits`` where a stranger made them."""

    oid: str
    objects: tuple[Path, ...]
    object_format: str
    limits: Limits | None = None


def of_checkpoint(incoming: VerifiedCode) -> Commit:
    return Commit(incoming.commit, (incoming.objects,), incoming.object_format, incoming.limits)


def of_repository(repository: Repository, name: str) -> Commit:
    """The commit of this name. Raises UsageError where there is none."""
    words = ("rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")
    found = repository.git.run(*words, accept=(0, 1, 128)).decode().strip()
    if not found:
        raise UsageError(
            f"There is no file and no commit {name!r}.", "name a checkpoint, or a commit: git log"
        )
    return Commit(found, (repository.objects,), repository.object_format)


@contextmanager
def of_working_tree(repository: Repository) -> Iterator[Commit]:
    """What a capture would capture now, but that no filter is run. Nothing is changed."""
    tree = reader.read(repository, selection.Limits())
    with scratch(tree.selection.scan) as place:
        oid = commit_of(place, tree.selection, tree.contents)
        places = (place.directory / "objects", *place.git.objects)
        yield Commit(oid, places, repository.object_format)


@contextmanager
def seen_together(commits: list[Commit]) -> Iterator[Git]:
    """Git on all of them, with nobody's configuration. JellyError where no git can."""
    formats = {each.object_format for each in commits}
    if len(formats) > 1:
        raise JellyError("One of the two is in git's sha1 format, the other in sha256.")
    strangers = [each.limits for each in commits if each.limits]
    with tempdirs.folder() as directory:
        make_bare(directory, formats.pop())
        places = tuple(dict.fromkeys(place for each in commits for place in each.objects))
        yield Git(
            directory,
            directory=directory,
            objects=places,
            config=_CONFIG,
            isolated=True,
            hold=_largest(strangers).hold if strangers else None,
        )


def _largest(limits: list[Limits]) -> Limits:
    return Limits(max(each.memory for each in limits), max(each.seconds for each in limits))
