"""The places of credentials outside the content of files: names, link targets and commits.

A place is described in words that follow "in line 1 of": ``the name of keys/***``. A credential
in it is masked.
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jellyml.secrets.search import in_text, masked_text, search

COMMITS = (
    "rev-list",
    "--no-commit-header",
    "--format=%H%n%an <%ae>%n%cn <%ce>%n%n%B%x00",
)
"""The words of the git command whose output ``in_commits`` reads."""

_SHORT = 7  # digits of a commit id


class Place(NamedTuple):
    """The description of a place, a line in it from 1, and the kind of the credential."""

    path: str
    line: int
    kind: str


def in_names(paths: Iterable[str]) -> Iterator[Place]:
    """Yield the credentials in names of files and folders, each name once."""
    first: dict[str, str] = {}
    for path in paths:
        for name in path.split("/"):
            first.setdefault(name, path)
    # One search for all names: most have none.
    names = [name for name in first if "\n" not in name]
    for line, kind in in_text("\n".join(names)):
        yield Place(_name_of(first[names[line - 1]], names[line - 1]), 1, kind)
    for name in first.keys() - set(names):
        yield from (Place(_name_of(first[name], name), 1, kind) for _, kind in in_text(name))


def _name_of(path: str, name: str) -> str:
    """Return the description of the first file or folder with a name."""
    parts = path.split("/")
    return f"the name of {masked_text('/'.join(parts[: parts.index(name) + 1]))}"


def in_target(path: str, target: bytes) -> Iterator[Place]:
    """Yield the credentials in the target of a symbolic link."""
    for line, kind in search(target):
        yield Place(f"the target of {masked_text(path)}", line, kind)


def in_commits(records: bytes) -> Iterator[Place]:
    """Yield the credentials in authors, committers and messages; ``COMMITS`` prints them."""
    commits = [record.lstrip(b"\n").partition(b"\n") for record in records.split(b"\0")]
    # One search for all: most have none. Without the ids, which would be long runs in each.
    if next(search(b"\n".join(text for _, _, text in commits)), None) is None:
        return
    for oid, _, text in commits:
        yield from _in_commit(os.fsdecode(oid[:_SHORT]), text)


def _in_commit(oid: str, text: bytes) -> Iterator[Place]:
    people, _, message = text.partition(b"\n\n")
    for line, kind in search(people):
        yield Place(f"the {'author' if line == 1 else 'committer'} of commit {oid}", 1, kind)
    for line, kind in search(message):
        yield Place(f"the message of commit {oid}", line, kind)
