"""Capture a working tree: read it, and take its bundle from the cache or build it.

It writes nothing in the repository: not the index, HEAD, the object store or a file.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from jellyml.capture import cache
from jellyml.capture.bundle import History, Packed, pack
from jellyml.capture.cache import Built, Cache
from jellyml.capture.code_in_use import complete
from jellyml.capture.credentials import MOST, SEARCH, in_changes, searching
from jellyml.capture.history_limits import HistoryLimits
from jellyml.capture.used_later import UsedLater
from jellyml.errors import GitError, TookTooLong
from jellyml.repo.repository import Repository, WrongGuess, guess
from jellyml.repo.worktrees import is_interrupted
from jellyml.snapshot.facts import CodeFacts, Credential
from jellyml.working_tree import reader
from jellyml.working_tree.commit import commit_of
from jellyml.working_tree.contents import Contents
from jellyml.working_tree.reader import WorkingTree
from jellyml.working_tree.scratch import ChangedMeanwhile, Scratch, scratch
from jellyml.working_tree.selection import Limits, Selection, with_promised


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a capture; ``timeout`` in seconds.

    ``history``: ``"auto"`` (all of it within ``history_limits``), ``"full"``,
    ``"none"``, or a number of commits below the snapshot.
    """

    history: History = "auto"
    limits: Limits = field(default_factory=Limits)
    timeout: float = 60.0
    history_limits: HistoryLimits = field(default_factory=HistoryLimits)  # of "auto"


@dataclass(frozen=True, slots=True)
class Capture:
    """A filling and the facts about the code in it."""

    filling: bytes
    facts: CodeFacts
    interrupted: bool = False  # a load was interrupted here: the code may be incomplete
    later: UsedLater | None = field(default=None, compare=False)


Meanwhile = Callable[[Path], None]


def capture(
    folder: Path,
    options: Options,
    cache_folder: Path | None,
    meanwhile: Meanwhile = lambda _: None,
) -> Capture:
    """Return a capture of the working tree that contains ``folder``. Change nothing in it.

    ``cache_folder`` is None for no cache. ``meanwhile`` is called with the root while git runs.
    Raise NotARepository, GitError, TookTooLong or OSError.
    """
    deadline = time.monotonic() + options.timeout
    store = Cache.open(cache_folder) if cache_folder else None

    def attempt(repository: Repository) -> Capture:
        return _capture(repository, options, store, meanwhile)

    repository = guess(folder, deadline)
    if repository:
        with suppress(WrongGuess):
            return cache.retry(partial(attempt, repository), ChangedMeanwhile)
    return cache.retry(partial(attempt, Repository.find(folder, deadline)), ChangedMeanwhile)


def _capture(
    repository: Repository, options: Options, store: Cache | None, meanwhile: Meanwhile
) -> Capture:
    known = store.indexes(repository.root) if store else {}
    tree = reader.read(
        repository,
        options.limits,
        indexes=known,
        meanwhile=lambda confirmed: meanwhile(confirmed.root),
    )
    modules = len(sys.modules)
    tree, in_use = complete(tree, options.limits)
    build = partial(_build, tree, options)
    if store:
        if tree.indexes != known:
            store.keep_indexes(repository.root, tree.indexes)
        key = tree.key(options.history, options.history_limits, SEARCH)
        wait = min(cache.WAIT, options.timeout / 3)
        built = store.get_or_build(key, build, keep_if=tree.is_unchanged, wait=wait)
    else:
        built = build()
    facts = replace(_facts(tree, built), in_use=in_use)
    later = UsedLater.than(tree, in_use, modules)
    return Capture(built.filling, facts, is_interrupted(repository), later)


def _build(tree: WorkingTree, options: Options) -> Built:
    """Commit the working tree in a scratch directory, pack it, search it for credentials."""
    selection, contents = tree.selection, tree.contents
    with scratch(selection.scan) as place:
        try:
            commit, packed, further = _packed(place, selection, contents, options)
        except TookTooLong:
            raise
        except GitError:
            completed = with_promised(selection)
            if not completed.promised:
                raise
            commit, packed, further = _packed(place, completed, Contents(completed), options)
    return Built(
        filling=packed.bundle.finished(
            commit=packed.commit,
            stands_for=commit if packed.commit != commit else None,
            object_format=selection.scan.repository.object_format,
        ),
        commit=commit,
        cut=packed.cut,
        commit_texts=packed.texts,
        raw=tuple(map(os.fsdecode, contents.raw)),
        secrets=tuple([*in_changes(selection, contents), *further][:MOST]),
    )


def _packed(
    place: Scratch, selection: Selection, contents: Contents, options: Options
) -> tuple[str, Packed, list[Credential]]:
    """Return the id of the working tree's commit, its bundle, and the credentials around files."""
    commit = commit_of(place, selection, contents)
    whole = options.history in ("auto", "full")
    with searching(place.git, commit, whole=whole) as search:
        packed = pack(place, selection.scan, commit, options.history, options.history_limits)
        return commit, packed, [Credential(*each) for each in search(packed.commit)]


def _facts(tree: WorkingTree, built: Built) -> CodeFacts:
    """Return the facts of this process's read, and those of the build, possibly by another one."""
    facts = tree.facts()
    return replace(
        facts,
        commit=built.commit,
        dirty=built.commit != facts.base,
        cut=built.cut,
        raw=built.raw,
        secrets=built.secrets,
        commit_texts=built.commit_texts,
        bundle_sha256=built.bundle_sha256,
    )
