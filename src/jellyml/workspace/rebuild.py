"""Rebuild the true commit of a cut history from its text, if its parents are available.

The texts come from an untrusted manifest and may be numerous. So one git process checks all
parents, and another writes the commits.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from jellyml.capture.bundle import commit_id
from jellyml.repo.git import Git

_MOST_TEXTS = 10_000
_FOLDER = "commit-texts"
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def rebuild(wanted: str, texts: Iterable[bytes], git: Git, objects: Path) -> None:
    """Write the commit ``wanted``, and the commits before it that are missing, with ``git``.

    A parent may be known to ``git`` or in ``objects``. If one is missing, nothing is written.
    """
    known = {commit_id(text, wanted): text for text in islice(texts, _MOST_TEXTS)}
    parents = _parents(wanted, known)
    if not parents:
        return
    here = _present(git, objects, {one for each in parents.values() for one in each})
    needed = _needed(wanted, parents, here)
    if needed:
        _write(git, {one: known[one] for one in needed})


def _parents(wanted: str, known: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return the parents of each ancestor of ``wanted`` whose text is known."""
    result: dict[str, list[str]] = {}
    waiting = [wanted]
    while waiting:
        one = waiting.pop()
        if one in known and one not in result:
            head = known[one].partition(b"\n\n")[0].split(b"\n")
            lines = (line[7:] for line in head if line.startswith(b"parent "))
            result[one] = [line.decode("ascii", "replace") for line in lines]
            waiting += result[one]
    return result


def _present(git: Git, objects: Path, ids: Iterable[str]) -> frozenset[str]:
    both = replace(git, objects=(*git.objects, objects))
    command = ("cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer")
    lines = "".join(f"{one}\n" for one in ids if _ID.fullmatch(one)).encode()
    rows = both.run(*command, stdin=lines).decode("ascii", "replace").splitlines()
    return frozenset(row.split()[0] for row in rows if row.endswith(" commit"))


def _needed(wanted: str, parents: Mapping[str, list[str]], here: frozenset[str]) -> set[str]:
    """Return the commits to write so that ``wanted`` is complete; empty if a parent is missing."""
    needed: set[str] = set()
    waiting = [wanted]
    while waiting:
        one = waiting.pop()
        if one in here or one in needed:
            continue
        if one not in parents:
            return set()
        needed.add(one)
        waiting += parents[one]
    return needed


def _write(git: Git, texts: Mapping[str, bytes]) -> None:
    """Write commits from their texts. Raises GitError for an invalid text."""
    folder = git.folder / _FOLDER
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    names = "".join(f"{_FOLDER}/{name}\n" for name in texts).encode()
    git.run("hash-object", "-t", "commit", "-w", "--no-filters", "--stdin-paths", stdin=names)
