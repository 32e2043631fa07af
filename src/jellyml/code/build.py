"""A selection as a filling: its commit, upon HEAD, and the bundle of that."""

import base64
import os
import re
from dataclasses import asdict

from jellyml.code.contents import Contents
from jellyml.code.credentials import credentials
from jellyml.code.history import Budget, History, pack
from jellyml.code.scratch import Scratch, header
from jellyml.code.selection import Selection
from jellyml.code.tree import changes

Dates = dict[str, int]
"""Commits and the seconds of their dates, so that git is asked once for each."""


def build(
    place: Scratch,
    selection: Selection,
    contents: Contents,
    history: History,
    budget: Budget,
    dates: Dates,
) -> tuple[bytes, dict[str, object]]:
    """The filling, and the facts that are kept beside it."""
    commit = commit_of(place, selection, contents, dates)
    packed = pack(place, selection.scan, commit, history, budget)
    data = packed.bundle.finished(
        commit=packed.commit,
        stands_for=commit if packed.commit != commit else None,
        object_format=selection.scan.repository.object_format,
    )
    facts: dict[str, object] = {
        "commit": commit,
        "cut": packed.cut,
        "texts": {one: base64.b64encode(text).decode() for one, text in packed.texts.items()},
        "raw": [os.fsdecode(path) for path in contents.raw],
        "secrets": [asdict(one) for one in credentials(selection, contents)],
    }
    return data, facts


def commit_of(place: Scratch, selection: Selection, contents: Contents, dates: Dates) -> str:
    """HEAD itself where its tree is the tree to be captured, else a child of it."""
    head = selection.scan.head
    if selection.is_head and head:
        return head
    if head and head not in dates:
        (text,) = place.git.read_objects([head])
        found = _COMMITTED.search(text.partition(b"\n\n")[0])
        dates[head] = int(found[1]) if found else 0
    date = dates[head] if head else 0
    return place.commit(header(date, head), changes(selection, contents, place), unless=head)


# Old repositories hold dates that are none.
_COMMITTED = re.compile(rb"\ncommitter [^\n]* (\d{1,15}) [+-]\d+(?:\n|\Z)")
