"""Read commits of a checkpoint, a repository and a working tree through one git."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import JellyError, UsageError
from jellyml.fs import tempdirs
from jellyml.quarantine.quarantine import Limits, VerifiedCode
from jellyml.repo.git import Git, make_bare
from jellyml.repo.paths import at, parents
from jellyml.repo.repository import Repository
from jellyml.working_tree import reader, selection
from jellyml.working_tree.commit import commit_of
from jellyml.working_tree.ignored import ignored, indexed
from jellyml.working_tree.scratch import scratch

_CONFIG = {
    "core.bigFileThreshold": "16m",  # git streams a larger file instead of loading it
    "core.deltaBaseCacheLimit": "32m",
    "core.packedGitLimit": "32m",
    "core.packedGitWindowSize": "8m",
    "core.fsync": "none",
}


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit and the folders of its objects; ``limits`` are set if they are untrusted."""

    oid: str
    objects: tuple[Path, ...]
    object_format: str
    limits: Limits | None = None


def of_checkpoint(incoming: VerifiedCode) -> StoredCommit:
    """Return the commit of unpacked and verified code."""
    return StoredCommit(
        incoming.commit, (incoming.objects,), incoming.object_format, incoming.limits
    )


def of_repository(repository: Repository, name: str) -> StoredCommit:
    """Return the commit of this name. Raises UsageError if there is none."""
    words = ("rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")
    oid = repository.git.run(*words, accept=(0, 1, 128)).decode().strip()
    if not oid:
        raise UsageError(
            f"There is no file and no commit {name!r}.", "name a checkpoint, or a commit: git log"
        )
    return StoredCommit(oid, (repository.objects,), repository.object_format)


@contextmanager
def of_working_tree(
    repository: Repository, beside: StoredCommit | None = None
) -> Iterator[StoredCommit]:
    """Yield the commit that a capture would make now, without filters. Nothing is changed.

    An ignored file is included if ``beside`` has its path, so that both sides are compared: a
    snapshot has the code in use of ignored folders.
    """
    tree = reader.read(repository, selection.Limits())
    if beside and (paths := _ignored_paths(tree, beside)):
        tree = reader.including(tree, paths, selection.Limits())
    with scratch(tree.selection.scan) as place:
        oid = commit_of(place, tree.selection, tree.contents)
        places = (place.directory / "objects", *place.git.objects)
        yield StoredCommit(oid, places, repository.object_format)


def _ignored_paths(tree: reader.WorkingTree, beside: StoredCommit) -> list[bytes]:
    """Return the paths of a commit at which the working tree has a file that git ignores.

    The commit may come from an untrusted checkpoint: no link is followed, it could lead out.
    """
    with shared_git([beside]) as git:
        names = git.run("ls-tree", "-r", "-z", "--name-only", beside.oid).split(b"\0")[:-1]
    scan = tree.selection.scan
    root = scan.repository.root
    untracked = {*names} - indexed(scan.repository.index, names) - tree.selection.overlay.keys()
    here = [
        path
        for path in sorted(untracked)
        if os.path.lexists(at(root, path))
        and not any(at(root, folder).is_symlink() for folder in parents(path))
    ]
    return [*ignored(tree.selection, here)]


@contextmanager
def shared_git(commits: list[StoredCommit]) -> Iterator[Git]:
    """Yield a git for all commits, without the user's configuration. Raises JellyError."""
    formats = {each.object_format for each in commits}
    if len(formats) > 1:
        raise JellyError("One of the two is in git's sha1 format, the other in sha256.")
    untrusted = [each.limits for each in commits if each.limits]
    with tempdirs.folder() as directory:
        make_bare(directory, formats.pop())
        places = tuple(dict.fromkeys(place for each in commits for place in each.objects))
        yield Git(
            directory,
            directory=directory,
            objects=places,
            config=_CONFIG,
            isolated=True,
            hold=_largest(untrusted).hold if untrusted else None,
        )


def _largest(limits: list[Limits]) -> Limits:
    return Limits(max(each.memory for each in limits), max(each.seconds for each in limits))
