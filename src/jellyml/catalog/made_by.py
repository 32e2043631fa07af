"""Which checkpoints were made by a commit, or hold a version of a file.

A commit made what was captured as it, and what was captured with changes on top of it. A file's
version is looked for at its path: in commits that are here by asking git, elsewhere in the
checkpoint's own code, unpacked in a quarantine.
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
class Wanted:
    """What is asked for: a commit by the beginning of its id, or a file's version at its path.

    ``blobs`` are the ids under which git may hold the file: one as it lies, one with its line
    ends as git keeps them.
    """

    commit: str = ""
    path: str = ""
    blobs: frozenset[str] = frozenset()
    repository: Repository | None = None
    _known: dict[str, bool] = field(default_factory=dict)  # by the bundle's digest

    def made(self, one: Entry) -> bool:
        """Raises BadSnapshot where only the code could tell, and it is damaged."""
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


def wanted(text: str, folder: Path) -> Wanted:
    """What ``text`` asks for, in the repository that holds ``folder``.

    A revision, the beginning of a commit's id that is not here, ``REVISION:PATH``, or a file.
    """
    file = folder / path_of(text)
    try:
        repository = Repository.find(folder)
    except JellyError:
        if _ID.fullmatch(text):
            return Wanted(commit=text)
        raise
    commit = _resolved(repository.git, f"{text}^{{commit}}")
    if commit and not _names_a_file(text):
        return Wanted(commit=commit)
    if stat.S_ISREG(mode_of(file)):
        return _version(repository, file)
    _, colon, path = text.partition(":")
    blob = _resolved(repository.git, text) if colon else ""
    if blob and repository.git.run("cat-file", "-t", blob) == b"blob\n":
        return Wanted(path=normpath(path), blobs=frozenset([blob]), repository=repository)
    if _ID.fullmatch(text):
        return Wanted(commit=text)
    raise UsageError(
        f"{text!r} is no commit that is known here, and no file.",
        "name a commit, the beginning of its id, or a file: jellyml list --made-by train.py",
    )


def _names_a_file(text: str) -> bool:
    return text.startswith((f".{os.sep}", f"..{os.sep}", os.sep))


def _version(repository: Repository, file: Path) -> Wanted:
    root, place = repository.root.resolve(), file.parent.resolve() / file.name
    if not place.is_relative_to(root):
        raise UsageError(
            f"{file} lies outside the repository {repository.root}.",
            "name its repository with -c.",
        )
    path = place.relative_to(root).as_posix()
    plain = repository.git.run("hash-object", "--no-filters", "--", str(place)).decode().strip()
    return Wanted(
        path=path,
        blobs=frozenset([plain, *_staged(repository.git, path)]),
        repository=repository,
    )


def _staged(git: Git, path: str) -> Iterable[str]:
    """The blob in the index, where git calls the file unmodified."""
    if git.succeeds("--literal-pathspecs", "diff-files", "--quiet", "--", path):
        for row in git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--", path).split(b"\0"):
            fields = row.split(b"\t")[0].split()
            if len(fields) == 3 and fields[2] == b"0":
                yield fields[1].decode()


def _resolved(git: Git, name: str) -> str:
    """An object's id, empty where there is none of that name."""
    if name.startswith("-"):
        return ""
    answer = git.run("rev-parse", "-q", "--verify", name, accept=(0, 1, 128))
    return answer.decode(errors="replace").strip()
