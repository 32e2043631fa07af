"""What the working tree holds that HEAD does not: one look, nothing touched.

``git status`` on the user's own index says what differs; ``git ls-files`` says which paths
it was told not to look at. Submodules and nested repositories are scanned the same way and
hang below. Paths are bytes, relative to the root of the repository that holds them.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from jellyml.code.repository import Git, Repository
from jellyml.errors import GitError, NotARepository, TookTooLong

GITLINK = b"160000"
SYMLINK = b"120000"
_NO_BLOB = (b"000000", GITLINK)

_STATUS = (
    "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames",
    "--ignore-submodules=dirty", "-z", "-uall",
)  # fmt: skip
# An index line worth a look: assume-unchanged (lower case), skip-worktree (S), a gitlink.
_ODD = re.compile(rb"(?:\A|\0)([a-zS] |. 160000 )")
_ATTRIBUTES = re.compile(rb"(?:\t|/)\.gitattributes\0")
_CLOSED_FOLDER = re.compile(rb"could not open directory '(.*)'")


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
    nested: dict[bytes, "Scan"]
    ignored: tuple[bytes, ...]
    unreadable: tuple[bytes, ...]
    config: dict[str, str]
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
    ignored: list[bytes] = field(default_factory=list)


def scan(repository: Repository, *, ignored: bool = False, filters: bool = True) -> Scan:
    """Look at the working tree; with ``ignored`` also name what the ignore rules hide.

    With ``filters`` false none of the user's filter programs is started, whatever an
    attributes file says: filtered files then count as modified unless their times are known.
    Raises GitError, and TookTooLong past the repository's deadline.
    """
    git = repository.git
    if not filters:
        git = _without_filters(git)
    asked = (*_STATUS, "--ignored=matching") if ignored else _STATUS
    # Side by side: together they take what status alone takes.
    with git.start(*asked) as status, git.start("ls-files", "-s", "-v", "-z") as files:
        config = _config(git.run("config", "-z", "--list"))
        listed, _ = git.collect(files)
        try:
            output, errors = git.collect(status)
        except TookTooLong:
            raise
        except GitError:
            output, errors = _without_required_filters(git, config, asked)
    rows = _rows(output, config, repository.root)
    _flagged(listed, rows, repository.root)
    nested = _nested(repository, rows.nested, ignored, filters)
    closed = [path for path, inner in nested.items() if inner is None]
    return Scan(
        repository=repository,
        head=rows.head,
        branch=rows.branch,
        overlay=rows.overlay,
        untracked=frozenset(rows.untracked),
        hidden=frozenset(rows.hidden),
        staged=frozenset(rows.staged),
        nested={path: inner for path, inner in nested.items() if inner},
        ignored=tuple(rows.ignored),
        unreadable=(*_CLOSED_FOLDER.findall(errors), *closed),
        config=config,
        attributes=_has_attributes(repository, rows, config, listed),
    )


def _config(output: bytes) -> dict[str, str]:
    pairs = (item.partition(b"\n") for item in output.split(b"\0") if item)
    return {os.fsdecode(key): os.fsdecode(value) if eq else "true" for key, eq, value in pairs}


def _without_filters(git: Git) -> Git:
    """An empty program is none: git then takes the bytes as they lie."""
    listed = git.run("config", "-z", "--name-only", "--get-regexp", r"^filter\.", accept=(0, 1))
    names = {os.fsdecode(name) for name in listed.split(b"\0") if name}
    off = {name: "false" if name.endswith(".required") else "" for name in names}
    return replace(git, config=git.config | off)


def _without_required_filters(
    git: Git, config: dict[str, str], asked: tuple[str, ...]
) -> tuple[bytes, bytes]:
    """A required filter that is missing makes status itself fail.

    Without the requirement its rows are right: the file then counts as modified.
    """
    names = [key for key in config if key.startswith("filter.") and key.endswith(".required")]
    lenient = replace(git, config=git.config | dict.fromkeys(names, "false"))
    with lenient.start(*asked) as process:
        return lenient.collect(process)


def _rows(output: bytes, config: dict[str, str], root: Path) -> _Rows:
    rows = _Rows()
    for row in output.split(b"\0"):
        kind, rest = row[:2], row[2:]
        if kind in (b"1 ", b"u "):
            _tracked(rest, kind == b"u ", rows)
        elif kind == b"# ":
            _headed(rest, rows)
    # A path that is gone from the index and lies on disk has two rows; the disk is right.
    for row in output.split(b"\0"):
        if row[:2] == b"? ":
            _untracked(row[2:], rows, root, executable=config.get("core.filemode") != "false")
        elif row[:2] == b"! ":
            rows.ignored.append(row[2:])
    return rows


def _headed(rest: bytes, rows: _Rows) -> None:
    name, _, value = rest.partition(b" ")
    if name == b"branch.oid" and value != b"(initial)":
        rows.head = value.decode()
    elif name == b"branch.head" and value != b"(detached)":
        rows.branch = os.fsdecode(value)


def _tracked(rest: bytes, unmerged: bool, rows: _Rows) -> None:
    if unmerged:  # XY sub m1 m2 m3 mW h1 h2 h3 path
        state, sub, *modes, mode, one, two, three, path = rest.split(b" ", 9)
        changed = mode != b"000000"
        staged = None
        stages = zip(modes, (one, two, three), strict=True)
        rows.staged.update(oid for kind, oid in stages if kind not in _NO_BLOB)
    else:  # XY sub mH mI mW hH hI path
        state, sub, _, index_mode, mode, _, oid, path = rest.split(b" ", 7)
        changed = state[1:] in (b"M", b"T", b"A")
        gone = index_mode == b"000000" or state[1:] == b"D"
        staged = None if gone else Found(index_mode, oid)
        if state[:1] != b"." and index_mode not in _NO_BLOB:
            rows.staged.add(oid)
    if mode == GITLINK or (sub[:1] == b"S" and mode != b"000000"):
        rows.nested.add(path)
        rows.overlay[path] = staged
    else:
        rows.overlay[path] = Found(mode) if changed else staged


def _untracked(path: bytes, rows: _Rows, root: Path, *, executable: bool) -> None:
    if path.endswith(b"/"):
        rows.nested.add(path[:-1])
        return
    found = on_disk(root, path, executable=executable)
    if found:
        rows.overlay[path] = found
        rows.untracked.add(path)


def at(root: Path, path: bytes) -> Path:
    """Where a path of git's lies."""
    return root / os.fsdecode(path)


def is_folder(path: Path) -> bool:
    """True for a folder itself, not for a link to one."""
    return path.is_dir() and not path.is_symlink()


def on_disk(root: Path, path: bytes, *, executable: bool = True) -> Found | None:
    """The path as it lies on disk, or None for what git cannot hold (pipes, sockets, gone)."""
    try:
        mode = at(root, path).lstat().st_mode
    except OSError:
        return None
    if stat.S_ISLNK(mode):
        return Found(SYMLINK)
    if stat.S_ISREG(mode):
        return Found(b"100755" if executable and mode & 0o100 else b"100644")
    return None


def _flagged(listed: bytes, rows: _Rows, root: Path) -> None:
    """Paths that status does not look at (or into): take them from disk, or leave them."""
    for match in _ODD.finditer(listed):
        start = match.start(1)
        line, path = listed[start : listed.index(b"\0", start)].split(b"\t", 1)
        tag, mode, oid, _ = line.split(b" ")
        if mode == GITLINK:
            rows.nested.add(path)
            rows.overlay.setdefault(path, Found(GITLINK, oid))
            continue
        found = on_disk(root, path)
        if found is None and tag in (b"S", b"s"):
            rows.hidden.add(path)
            rows.overlay[path] = Found(mode, oid)
        else:
            rows.overlay[path] = found


def _nested(
    outer: Repository, paths: set[bytes], ignored: bool, filters: bool
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
                found[path] = scan(inner, ignored=ignored, filters=filters)
                continue
        except NotARepository:
            pass  # its .git leads nowhere: the files are still the user's code
        except TookTooLong:
            raise
        except GitError:
            found[path] = None
            continue
        files = dict(_walk(root))
        if files:
            found[path] = _folder(outer, root, files)
    return found


def _walk(root: Path) -> Iterator[tuple[bytes, Found]]:
    """Every file below a folder that is no repository."""
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in (*names, *links):
            path = os.fsencode(Path(parent, name).relative_to(root))
            found = on_disk(root, path)
            if found:
                yield path, found


def _folder(outer: Repository, root: Path, files: dict[bytes, Found]) -> Scan:
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
        nested={},
        ignored=(),
        unreadable=(),
        config={},
        attributes=False,
        plain=True,
    )


def _has_attributes(
    repository: Repository, rows: _Rows, config: dict[str, str], listed: bytes
) -> bool:
    if config.get("core.autocrlf", "false") != "false" or "core.attributesfile" in config:
        return True
    if _ATTRIBUTES.search(listed) or (repository.common_dir / "info" / "attributes").exists():
        return True
    if any(path.rpartition(b"/")[2] == b".gitattributes" for path in rows.untracked):
        return True
    return default_attributes_file().exists()


def default_attributes_file() -> Path:
    """Where git looks for the user's attributes when core.attributesFile is not set."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "git" / "attributes"


def _alike(inner: Repository, outer: Repository) -> bool:
    """Objects of one hash cannot stand in the other's trees; such files are taken from disk."""
    return inner.object_format == outer.object_format
