"""Scan how a working tree differs from HEAD, without writing anything.

``git status`` on the user's index lists the differences. ``git ls-files`` lists the paths
that status skips. Submodules and nested repositories are scanned in the same way.
Paths are bytes, relative to the root of their repository.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from jellyml.errors import ForeignRepository, GitError, NotARepository, TookTooLong
from jellyml.fs.paths import is_folder
from jellyml.repo import lfs
from jellyml.repo.paths import at, odd_names, status
from jellyml.repo.repository import Repository
from jellyml.repo.storage import Storage
from jellyml.working_tree.attributes import has_rules, is_off, lists_rules
from jellyml.working_tree.status import PlainIndexes, StatusOutput, glance

GITLINK, SYMLINK, EXECUTABLE = b"160000", b"120000", b"100755"
_NO_BLOB = (b"000000", GITLINK)

# Index lines of special entries: assume-unchanged (lower case), skip-worktree (S), a gitlink.
_ODD = re.compile(rb"(?:\A|\0)([a-zS] |. 160000 )")
# Git's errors about paths that it cannot read: a folder, or a file in a closed folder.
_CLOSED = re.compile(
    rb"^(?:warning: could not open directory '(.*)'|(?!error: |warning: |fatal: )(.+))"
    rb": Permission denied$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A path's mode and content: a blob of git, or the bytes on disk if ``oid`` is None."""

    mode: bytes
    oid: bytes | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """One repository's working tree as HEAD plus an overlay; None in the overlay is a deletion."""

    repository: Repository
    head: str | None
    branch: str | None
    overlay: dict[bytes, Entry | None]
    untracked: frozenset[bytes]
    hidden: frozenset[bytes]  # skip-worktree paths that are not on disk
    staged: frozenset[bytes]  # blobs in the index, possibly not in HEAD
    indexed: dict[bytes, bytes]  # tracked file that is taken from disk -> its blob in the index
    nested: dict[bytes, "Scan"]
    ignored: tuple[bytes, ...]
    unreadable: tuple[bytes, ...]  # files; folders end in a slash
    closed: tuple[bytes, ...]  # nested repositories that git refuses to read
    config: dict[str, str]
    odd_names: tuple[bytes, ...]  # tracked paths that are another path on some systems
    attributes: bool  # some rule may change bytes between disk and blob
    plain: bool = False  # a folder without a repository, in place of a submodule
    storage: Storage = field(default_factory=Storage)  # git's own folders, left out of the scan

    def layers(self, prefix: bytes = b"") -> Iterator[tuple[bytes, "Scan"]]:
        """Yield this scan and all below it, outermost first, each with its path and a slash."""
        yield prefix, self
        for path, scan in self.nested.items():
            yield from scan.layers(prefix + path + b"/")

    def conversion(self) -> dict[str, str]:
        """Return the user's settings for the conversion between files and blobs."""
        wanted = ("core.autocrlf", "core.eol", "core.attributesfile", "core.symlinks")
        return {key: self.config[key] for key in wanted if key in self.config}


@dataclass(slots=True)
class _Rows:
    head: str | None = None
    branch: str | None = None
    overlay: dict[bytes, Entry | None] = field(default_factory=dict)
    untracked: set[bytes] = field(default_factory=set)
    nested: set[bytes] = field(default_factory=set)
    hidden: set[bytes] = field(default_factory=set)
    staged: set[bytes] = field(default_factory=set)
    indexed: dict[bytes, bytes] = field(default_factory=dict)
    only_bytes: set[bytes] = field(
        default_factory=set
    )  # the content differs from HEAD, not the mode
    ignored: list[bytes] = field(default_factory=list)
    odd_names: tuple[bytes, ...] = ()
    unreadable: set[bytes] = field(default_factory=set)


def scan(
    repository: Repository,
    *,
    ignored: bool = False,
    plain: PlainIndexes | None = None,
    meanwhile: Callable[[Repository], None] = lambda _: None,
) -> Scan:
    """Return a scan of the working tree; with ``ignored`` it lists ignored paths too.

    No filter is started, whatever the attributes files say. A file with a filter counts as
    modified unless its times match the index, or its digest matches its git-lfs pointer.
    ``plain`` has the indexes that need not be listed; new ones are added to it.
    ``meanwhile`` is called with the repository while git runs.
    Raise GitError, TookTooLong past the repository's deadline, or WrongGuess.
    """
    known = plain or PlainIndexes()
    output = glance(repository, ignored=ignored, plain=known, meanwhile=meanwhile)
    repository, config = output.repository, output.config
    rows = _rows(output.status, config, repository.root)
    rules = _index(output, rows, known) or has_rules(repository, config, rows.overlay)
    if rules:
        _drop_unchanged(repository, rows)
    _replaced(rows, repository.root)
    nested = _nested(repository, rows.nested, ignored, known)
    rows.unreadable |= {folder or file for folder, file in _CLOSED.findall(output.errors)}
    return Scan(
        repository=repository,
        head=rows.head,
        branch=rows.branch,
        overlay=rows.overlay,
        untracked=frozenset(rows.untracked),
        hidden=frozenset(rows.hidden),
        staged=frozenset(rows.staged),
        indexed=rows.indexed,
        nested={path: inner for path, inner in nested.items() if inner},
        ignored=tuple(rows.ignored),
        unreadable=tuple(sorted(rows.unreadable)),
        closed=tuple(path for path, inner in nested.items() if inner is None),
        config=config,
        odd_names=rows.odd_names,
        attributes=rules,
    )


def _index(output: StatusOutput, rows: _Rows, plain: PlainIndexes) -> bool:
    """Add the special entries of the index; return True if it tracks attributes files."""
    if output.listed is None:
        plain.now[output.index] = plain.before[output.index]
        return plain.before[output.index]
    tracked_rules = lists_rules(output.listed)
    rows.odd_names = tuple(odd_names(output.listed))
    if not _is_plain(output.listed):
        _flagged(output.listed, rows, output.config, output.repository.root)
    elif output.index and not rows.odd_names:
        plain.now[output.index] = tracked_rules
    return tracked_rules


def _is_plain(listed: bytes) -> bool:
    """Return True if an index has no special entries.

    This is the common case, and counting takes a third of the time of the search for them.
    """
    plain = listed.count(b"\0H 1") + listed.startswith(b"H 1")
    return plain == listed.count(b"\0") and b" 160000 " not in listed


def _rows(output: bytes, config: dict[str, str], root: Path) -> _Rows:
    rows = _Rows()
    executable = not is_off(config, "core.filemode")
    for row in output.split(b"\0"):
        kind, rest = row[:2], row[2:]
        if kind in (b"1 ", b"u "):
            _tracked(rest, kind == b"u ", rows, root)
        elif kind == b"# ":
            _headed(rest, rows)
    # A path that is deleted in the index and present on disk has two rows; the disk wins.
    for row in output.split(b"\0"):
        if row[:2] == b"? ":
            _untracked(row[2:], rows, root, executable)
        elif row[:2] == b"! ":
            rows.ignored.append(row[2:])
    return rows


def _headed(rest: bytes, rows: _Rows) -> None:
    name, _, value = rest.partition(b" ")
    if name == b"branch.oid" and value != b"(initial)":
        rows.head = value.decode()
    elif name == b"branch.head" and value != b"(detached)":
        rows.branch = os.fsdecode(value)


def _tracked(rest: bytes, unmerged: bool, rows: _Rows, root: Path) -> None:
    if unmerged:  # XY sub m1 m2 m3 mW h1 h2 h3 path
        state, sub, *modes, mode, one, two, three, path = rest.split(b" ", 9)
        changed = mode != b"000000"
        staged, oid = None, two
        stages = zip(modes, (one, two, three), strict=True)
        rows.staged.update(oid for kind, oid in stages if kind not in _NO_BLOB)
    else:  # XY sub mH mI mW hH hI path
        state, sub, _, index_mode, mode, _, oid, path = rest.split(b" ", 7)
        if state == b".M" and index_mode == mode:
            rows.only_bytes.add(path)
        changed = state[1:] in (b"M", b"T", b"A")
        gone = index_mode == b"000000" or state[1:] == b"D"
        staged = None if gone else Entry(index_mode, oid)
        if state[:1] != b"." and index_mode not in _NO_BLOB:
            rows.staged.add(oid)
    if mode == GITLINK or (sub[:1] == b"S" and mode != b"000000"):
        rows.nested.add(path)
        rows.overlay[path] = staged
    else:
        # A file that was replaced by a pipe or a socket is a deletion.
        rows.overlay[path] = staged if not changed else on_disk(root, path) and Entry(mode)
        if changed and oid.strip(b"0"):
            rows.indexed[path] = oid


def _replaced(rows: _Rows, root: Path) -> None:
    """Take a file or link in the place of a submodule as such; anything else is a deletion."""
    for path in [path for path in rows.nested if _is_replaced(root, path)]:
        rows.nested.remove(path)
        rows.overlay[path] = on_disk(root, path)


def _is_replaced(root: Path, path: bytes) -> bool:
    try:
        return not stat.S_ISDIR(status(root, path).st_mode)
    except OSError:
        return False


def _drop_unchanged(repository: Repository, rows: _Rows) -> None:
    """Drop large files whose git-lfs pointer is the one in HEAD."""
    modified = {path: oid for path, oid in rows.indexed.items() if path in rows.only_bytes}
    for path in lfs.unchanged(repository, modified):
        del rows.overlay[path], rows.indexed[path]


def _untracked(path: bytes, rows: _Rows, root: Path, executable: bool) -> None:
    if path.endswith(b"/"):
        rows.nested.add(path[:-1])
        return
    entry = on_disk(root, path, executable=executable)
    if entry:
        rows.overlay[path] = entry
        rows.untracked.add(path)
    elif _out_of_reach(root, path):
        rows.unreadable.add(path)


def _out_of_reach(root: Path, path: bytes) -> bool:
    try:
        status(root, path)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def on_disk(root: Path, path: bytes, *, executable: bool = True) -> Entry | None:
    """Return the entry of a path on disk; None if missing or not a file or link."""
    try:
        mode = status(root, path).st_mode
    except OSError:
        return None
    if stat.S_ISLNK(mode):
        return Entry(SYMLINK)
    if stat.S_ISREG(mode):
        return Entry(EXECUTABLE if executable and mode & 0o100 else b"100644")
    return None


def _flagged(listed: bytes, rows: _Rows, config: dict[str, str], root: Path) -> None:
    """Add paths that status skips: from disk, or as hidden if a sparse checkout removed them."""
    for match in _ODD.finditer(listed):
        start = match.start(1)
        line, path = listed[start : listed.index(b"\0", start)].split(b"\t", 1)
        tag, mode, oid, _ = line.split(b" ")
        if mode == GITLINK:
            rows.nested.add(path)
            continue
        entry = on_disk(root, path)
        if entry is None and tag in (b"S", b"s"):
            rows.hidden.add(path)  # status reports a change that is staged for it
            continue
        if _out_of_reach(root, path):
            rows.unreadable.add(path)
        rows.overlay[path] = entry and Entry(_mode_of(entry.mode, mode, config))
        rows.indexed[path] = oid


def _mode_of(mode: bytes, known: bytes, config: dict[str, str]) -> bytes:
    """Return a file's mode; the known one if the file system cannot store links or modes."""
    if mode != SYMLINK and known == SYMLINK and is_off(config, "core.symlinks"):
        return known
    if SYMLINK not in (mode, known) and is_off(config, "core.filemode"):
        return known
    return mode


def _nested(
    outer: Repository, paths: set[bytes], ignored: bool, plain: PlainIndexes
) -> dict[bytes, Scan | None]:
    """Return path -> scan of each nested repository.

    If git cannot read it, its files are plain files, and with ``ignored`` it is None.
    """
    scans: dict[bytes, Scan | None] = {}
    for path in sorted(paths):
        root = at(outer.root, path)
        if not is_folder(root):
            continue
        try:
            inner = _repository(outer, root)
            if inner:
                scans[path] = scan(inner, ignored=ignored, plain=plain)
                continue
        except TookTooLong:
            raise
        except (GitError, NotARepository):
            if ignored:  # an exact scan: what is ignored in it is unknown, so it stays whole
                scans[path] = None
                continue
        closed: list[OSError] = []
        files = dict(_walk(root, closed))
        if files or closed:
            scans[path] = _folder(outer, root, files, closed)
    return scans


def _repository(outer: Repository, root: Path) -> Repository | None:
    """Return the repository of a folder; None if its ``.git`` is broken or leads elsewhere."""
    try:
        inner = Repository.find(root, outer.deadline) if (root / ".git").exists() else None
    except (NotARepository, ForeignRepository):
        return None
    return inner if inner and inner.root == root.resolve() and _alike(inner, outer) else None


def _walk(root: Path, closed: list[OSError]) -> Iterator[tuple[bytes, Entry]]:
    """Yield every file below a folder without a repository; append the errors of closed folders."""
    for parent, folders, names in os.walk(root, onerror=closed.append):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in {*names, *links} - {".git"}:
            path = os.fsencode(Path(parent, name).relative_to(root))
            entry = on_disk(root, path)
            if entry:
                yield path, entry


def _folder(
    outer: Repository, root: Path, files: dict[bytes, Entry], closed: list[OSError]
) -> Scan:
    """Return a scan of a folder without a repository (a submodule that was never initialised)."""
    place = replace(outer, root=root)
    return Scan(
        repository=place,
        head=None,
        branch=None,
        overlay=dict(files),
        untracked=frozenset(files),
        hidden=frozenset(),
        staged=frozenset(),
        indexed={},
        nested={},
        ignored=(),
        unreadable=tuple(
            os.fsencode(Path(error.filename).relative_to(root)) + b"/" for error in closed
        ),
        closed=(),
        config={},
        odd_names=(),
        attributes=False,
        plain=True,
    )


def _alike(inner: Repository, outer: Repository) -> bool:
    """Return True if both use one object format. Else the inner files are taken from disk."""
    return inner.object_format == outer.object_format
