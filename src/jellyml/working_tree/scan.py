"""What the working tree holds that HEAD does not: one look, nothing touched.

``git status`` on the user's own index says what differs; ``git ls-files`` says which paths
it was told not to look at. Submodules and nested repositories are scanned the same way and
hang below. Paths are bytes, relative to the root of the repository that holds them.
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
from jellyml.working_tree.attributes import are_rules, is_off, lists_rules
from jellyml.working_tree.status import PlainIndexes, Said, glance

GITLINK, SYMLINK, EXECUTABLE = b"160000", b"120000", b"100755"
_NO_BLOB = (b"000000", GITLINK)

# An index line worth a look: assume-unchanged (lower case), skip-worktree (S), a gitlink.
_ODD = re.compile(rb"(?:\A|\0)([a-zS] |. 160000 )")
# What git could not look at: a folder that it may not list, a file in one it may not enter.
_CLOSED = re.compile(
    rb"^(?:warning: could not open directory '(.*)'|(?!error: |warning: |fatal: )(.+))"
    rb": Permission denied$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A path's mode and content: a blob that git has, or (``oid`` None) the bytes on disk."""

    mode: bytes
    oid: bytes | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """One repository's working tree as HEAD plus an overlay; None in it is a deletion."""

    repository: Repository
    head: str | None
    branch: str | None
    overlay: dict[bytes, Found | None]
    untracked: frozenset[bytes]
    hidden: frozenset[bytes]  # skip-worktree paths that are not on disk
    staged: frozenset[bytes]  # blobs that the index holds and HEAD may not
    indexed: dict[bytes, bytes]  # of tracked files that are taken from disk: the index's blob
    nested: dict[bytes, "Scan"]
    ignored: tuple[bytes, ...]
    unreadable: tuple[bytes, ...]  # files; folders end in a slash
    closed: tuple[bytes, ...]  # nested repositories that git will not read
    config: dict[str, str]
    odd_names: tuple[bytes, ...]  # tracked paths that may stand for another place elsewhere
    attributes: bool  # some rule may change bytes between disk and blob
    plain: bool = False  # no repository at all: a folder where a submodule should be

    def layers(self, prefix: bytes = b"") -> Iterator[tuple[bytes, "Scan"]]:
        """This scan and all below it, outermost first, each with its path and a slash."""
        yield prefix, self
        for path, scan in self.nested.items():
            yield from scan.layers(prefix + path + b"/")

    def conversion(self) -> dict[str, str]:
        """The user's settings that decide how a file's bytes become a blob, and back."""
        wanted = ("core.autocrlf", "core.eol", "core.attributesfile", "core.symlinks")
        return {key: self.config[key] for key in wanted if key in self.config}


@dataclass(slots=True)
class _Rows:
    head: str | None = None
    branch: str | None = None
    overlay: dict[bytes, Found | None] = field(default_factory=dict)
    untracked: set[bytes] = field(default_factory=set)
    nested: set[bytes] = field(default_factory=set)
    hidden: set[bytes] = field(default_factory=set)
    staged: set[bytes] = field(default_factory=set)
    indexed: dict[bytes, bytes] = field(default_factory=dict)
    only_bytes: set[bytes] = field(default_factory=set)  # what differs from HEAD is no mode
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
    """Look at the working tree; with ``ignored`` also name what the ignore rules hide.

    No filter program is started, whatever an attributes file says: a file that one is for
    counts as modified unless git knows its times, or git-lfs's digest of it is right.
    ``plain`` knows the indexes that need not be listed, and learns of others.
    ``meanwhile`` is called with the repository while git is at work.
    Raises GitError, TookTooLong past the repository's deadline, and WrongGuess.
    """
    known = plain or PlainIndexes()
    said = glance(repository, ignored=ignored, plain=known, meanwhile=meanwhile)
    repository, config = said.repository, said.config
    rows = _rows(said.status, config, repository.root)
    rules = _index(said, rows, known) or are_rules(repository, config, rows.overlay)
    if rules:
        _drop_unchanged(repository, rows)
    nested = _nested(repository, rows.nested, ignored, known)
    rows.unreadable |= {folder or file for folder, file in _CLOSED.findall(said.errors)}
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


def _index(said: Said, rows: _Rows, plain: PlainIndexes) -> bool:
    """Add what only the index says; True when attributes files are tracked in it."""
    if said.listed is None:
        plain.now[said.index] = plain.before[said.index]
        return plain.before[said.index]
    tracked_rules = lists_rules(said.listed)
    rows.odd_names = tuple(odd_names(said.listed))
    if not _is_plain(said.listed):
        _flagged(said.listed, rows, said.config, said.repository.root)
    elif said.index and not rows.odd_names:
        plain.now[said.index] = tracked_rules
    return tracked_rules


def _is_plain(listed: bytes) -> bool:
    """Nearly always so, and counting costs a third of the search for what is odd."""
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
    # A path that is gone from the index and lies on disk has two rows; the disk is right.
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
        staged = None if gone else Found(index_mode, oid)
        if state[:1] != b"." and index_mode not in _NO_BLOB:
            rows.staged.add(oid)
    if mode == GITLINK or (sub[:1] == b"S" and mode != b"000000"):
        rows.nested.add(path)
        rows.overlay[path] = staged
    else:
        # What became a pipe or a socket is no file any more.
        rows.overlay[path] = staged if not changed else on_disk(root, path) and Found(mode)
        if changed and oid.strip(b"0"):
            rows.indexed[path] = oid


def _drop_unchanged(repository: Repository, rows: _Rows) -> None:
    """Large files that git-lfs's filter would turn into the very pointer that HEAD has."""
    modified = {path: oid for path, oid in rows.indexed.items() if path in rows.only_bytes}
    for path in lfs.unchanged(repository, modified):
        del rows.overlay[path], rows.indexed[path]


def _untracked(path: bytes, rows: _Rows, root: Path, executable: bool) -> None:
    if path.endswith(b"/"):
        rows.nested.add(path[:-1])
        return
    found = on_disk(root, path, executable=executable)
    if found:
        rows.overlay[path] = found
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


def on_disk(root: Path, path: bytes, *, executable: bool = True) -> Found | None:
    """The path as it lies on disk, or None for what git cannot hold (pipes, sockets, gone)."""
    try:
        mode = status(root, path).st_mode
    except OSError:
        return None
    if stat.S_ISLNK(mode):
        return Found(SYMLINK)
    if stat.S_ISREG(mode):
        return Found(EXECUTABLE if executable and mode & 0o100 else b"100644")
    return None


def _flagged(listed: bytes, rows: _Rows, config: dict[str, str], root: Path) -> None:
    """Paths that status does not look at (or into): take them from disk, or leave them."""
    for match in _ODD.finditer(listed):
        start = match.start(1)
        line, path = listed[start : listed.index(b"\0", start)].split(b"\t", 1)
        tag, mode, oid, _ = line.split(b" ")
        if mode == GITLINK:
            rows.nested.add(path)
            continue
        found = on_disk(root, path)
        if found is None and tag in (b"S", b"s"):
            rows.hidden.add(path)  # what the index has staged for it, status has said
            continue
        if _out_of_reach(root, path):
            rows.unreadable.add(path)
        rows.overlay[path] = found and Found(_believed(found.mode, mode, config))
        rows.indexed[path] = oid


def _believed(mode: bytes, known: bytes, config: dict[str, str]) -> bytes:
    """A file's mode, where the file system is said not to keep what git knows of it."""
    if mode != SYMLINK and known == SYMLINK and is_off(config, "core.symlinks"):
        return known
    if SYMLINK not in (mode, known) and is_off(config, "core.filemode"):
        return known
    return mode


def _nested(
    outer: Repository, paths: set[bytes], ignored: bool, plain: PlainIndexes
) -> dict[bytes, Scan | None]:
    """What lies in submodules and nested repositories; None for one that git will not read."""
    found: dict[bytes, Scan | None] = {}
    for path in sorted(paths):
        root = at(outer.root, path)
        if not is_folder(root):
            continue
        try:
            inner = Repository.find(root, outer.deadline) if (root / ".git").exists() else None
            if inner and inner.root == root.resolve() and _alike(inner, outer):
                found[path] = scan(inner, ignored=ignored, plain=plain)
                continue
        except (NotARepository, ForeignRepository):
            pass  # its .git leads nowhere, or elsewhere: the files are still the user's code
        except TookTooLong:
            raise
        except GitError:
            found[path] = None
            continue
        closed: list[OSError] = []
        files = dict(_walk(root, closed))
        if files or closed:
            found[path] = _folder(outer, root, files, closed)
    return found


def _walk(root: Path, closed: list[OSError]) -> Iterator[tuple[bytes, Found]]:
    """Every file below a folder that is no repository; errors for folders that are closed."""
    for parent, folders, names in os.walk(root, onerror=closed.append):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in {*names, *links} - {".git"}:
            path = os.fsencode(Path(parent, name).relative_to(root))
            found = on_disk(root, path)
            if found:
                yield path, found


def _folder(
    outer: Repository, root: Path, files: dict[bytes, Found], closed: list[OSError]
) -> Scan:
    """A scan of a folder without a repository (a submodule that was never set up)."""
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
    """Objects of one hash cannot stand in the other's trees; such files are taken from disk."""
    return inner.object_format == outer.object_format
