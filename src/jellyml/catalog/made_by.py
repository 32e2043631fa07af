"""Select checkpoints that were made by a commit, or that hold a version of a file.

A commit made the checkpoints whose code is the commit itself, or the commit with changes on top.
A version of a file is searched at its path: with git if the user's repository has the commit, else
in the checkpoint's code, unpacked in quarantine.
"""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import normpath

from jellyml.catalog.entry import Entry
from jellyml.errors import JellyError, UsageError
from jellyml.fs.paths import mode_of, path_of
from jellyml.quarantine.quarantine import quarantined
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository

_ID = re.compile(r"[0-9a-f]{4,64}")


@dataclass
class Criterion:
    """The criterion: a prefix of a commit's id, or a version of a file at its path.

    ``blobs`` are the possible ids of the file in git: of its bytes on disk, and of its bytes with
    the line ends that git stores.
    """

    commit: str = ""
    path: str = ""
    blobs: frozenset[str] = frozenset()
    repository: Repository | None = None
    _known: dict[str, bool] = field(default_factory=dict)  # by the bundle's digest

    def matches(self, one: Entry) -> bool:
        """Return whether a checkpoint matches. Raises BadSnapshot if its damaged code is needed."""
        if self.commit:
            ids = (one.commit, one.base if one.dirty else None)
            return any(each and each.startswith(self.commit) for each in ids)
        name = one.checkpoint.header.sha256 or str(one.path)
        if name not in self._known:
            self._known[name] = self._holds(one)
        return self._known[name]

    def _holds(self, one: Entry) -> bool:
        assert self.repository
        here = self.repository.git
        if one.commit and here.succeeds("cat-file", "-e", f"{one.commit}^{{tree}}"):
            return _resolved(here, f"{one.commit}:{self.path}") in self.blobs
        saved = one.checkpoint.saved_bundle()
        with quarantined(saved, size=one.checkpoint.header.size) as incoming:
            return _resolved(incoming.git, f"{incoming.tree}:{self.path}") in self.blobs


def parse_criterion(text: str, folder: Path) -> Criterion:
    """Parse ``text`` in the repository of ``folder``. Raises UsageError.

    It is a revision, a prefix of an id that the repository lacks, ``REVISION:PATH``, or a file.
    """
    file = folder / path_of(text)
    try:
        repository = Repository.find(folder)
    except JellyError:
        if _ID.fullmatch(text):
            return Criterion(commit=text)
        raise
    commit = _resolved(repository.git, f"{text}^{{commit}}")
    if commit and not _names_a_file(text):
        return Criterion(commit=commit)
    if stat.S_ISREG(mode_of(file)):
        return _version(repository, file)
    _, colon, path = text.partition(":")
    blob = _resolved(repository.git, text) if colon else ""
    if blob and repository.git.run("cat-file", "-t", blob) == b"blob\n":
        return Criterion(path=normpath(path), blobs=frozenset([blob]), repository=repository)
    if _ID.fullmatch(text):
        return Criterion(commit=text)
    raise UsageError(
        f"{text!r} is neither a commit that is known here nor a file.",
        "name a commit, the beginning of its id, or a file: jellyml list --made-by train.py",
    )


def _names_a_file(text: str) -> bool:
    return text.startswith((f".{os.sep}", f"..{os.sep}", os.sep))


def _version(repository: Repository, file: Path) -> Criterion:
    root, place = repository.root.resolve(), file.parent.resolve() / file.name
    if not place.is_relative_to(root):
        raise UsageError(
            f"{file} is outside the repository {repository.root}.",
            "name its repository with -c.",
        )
    path = place.relative_to(root).as_posix()
    plain = repository.git.run("hash-object", "--no-filters", "--", str(place)).decode().strip()
    return Criterion(
        path=path,
        blobs=frozenset([plain, *_staged(repository.git, path)]),
        repository=repository,
    )


def _staged(git: Git, path: str) -> Iterable[str]:
    """Yield the blob in the index, if git reports the file as unmodified."""
    if git.succeeds("--literal-pathspecs", "diff-files", "--quiet", "--", path):
        for row in git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--", path).split(b"\0"):
            fields = row.split(b"\t")[0].split()
            if len(fields) == 3 and fields[2] == b"0":
                yield fields[1].decode()


def _resolved(git: Git, name: str) -> str:
    """Return the id of an object, or an empty string if no object has that name."""
    if name.startswith("-"):
        return ""
    answer = git.run("rev-parse", "-q", "--verify", name, accept=(0, 1, 128))
    return answer.decode(errors="replace").strip()
