"""Run git's status, configuration and index listing on a working tree, in parallel."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from jellyml.errors import GitError, TookTooLong
from jellyml.fs import tempdirs
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository, WrongGuess, confirmed

_STATUS = (
    "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames",
    "--ignore-submodules=dirty", "-z", "-uall",
)  # fmt: skip
_CONFIG = ("config", "-z", "--list", "--show-origin")
_LIST = ("ls-files", "-s", "-v", "-z")

# A worktree's own parts of a git directory that a status reads.
_OWN_PARTS = ("HEAD", "index", "config.worktree", "info/sparse-checkout")


@dataclass(slots=True)
class PlainIndexes:
    """Index checksum -> whether it lists attributes files, for indexes without special entries.

    ``before`` is from an earlier run, ``now`` from this one.
    """

    before: dict[str, bool] = field(default_factory=dict)
    now: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StatusOutput:
    """Git's output, not yet parsed."""

    repository: Repository
    config: dict[str, str]
    status: bytes
    errors: bytes
    index: str  # its checksum; empty if that does not identify its content
    listed: bytes | None  # None if the index is in ``PlainIndexes.before``


def glance(
    place: Repository,
    *,
    ignored: bool,
    plain: PlainIndexes,
    meanwhile: Callable[[Repository], None],
) -> StatusOutput:
    """Return git's output for a working tree. ``meanwhile`` is called while git runs.

    Raise WrongGuess if ``place`` was a wrong guess, else GitError or TookTooLong.
    """
    try:
        return _outputs(place, ignored, plain, meanwhile)
    except TookTooLong:
        raise
    except GitError:
        if place.guessed:
            raise WrongGuess from None
        raise


def _outputs(
    place: Repository,
    ignored: bool,
    plain: PlainIndexes,
    meanwhile: Callable[[Repository], None],
) -> StatusOutput:
    command = (*_STATUS, "--ignored=matching") if ignored else _STATUS
    index = _checksum(place)
    with (
        reading(place) as git,
        _listing(git, needed=index not in plain.before) as listing,
    ):
        # First: status is started with all filters off, which needs their names.
        origins, config = _config(git.run(*_CONFIG))
        repository = confirmed(place, origins, config)
        with without_filters(git, config).start(*command) as status:
            meanwhile(repository)
            listed = listing()
            output, errors = git.collect(status)
        if index != _checksum(place):  # another process has staged or committed
            index, listed = "", git.run(*_LIST)
        return StatusOutput(repository, config, output, errors, index, listed)


@contextmanager
def _listing(git: Git, *, needed: bool) -> Iterator[Callable[[], bytes | None]]:
    if needed:
        with git.start(*_LIST) as files:
            yield lambda: git.collect(files)[0]
    else:
        yield lambda: None


def _checksum(repository: Repository) -> str:
    """Return the index's size and the checksum in it; empty if they do not identify it."""
    if (repository.git_dir / "info" / "sparse-checkout").exists():
        return ""  # there the flags also depend on the files on disk
    try:
        with repository.index.open("rb", buffering=0) as file:
            size = file.seek(-20, os.SEEK_END) + 20
            end = file.read(20)
    except OSError:
        return ""
    return f"{size}-{end.hex()}" if any(end) else ""  # index.skipHash leaves zeros


def _config(output: bytes) -> tuple[set[str], dict[str, str]]:
    """Return the files that settings come from, and the settings."""
    parts = output.split(b"\0")[:-1]
    pairs = (item.partition(b"\n") for item in parts[1::2])
    config = {os.fsdecode(key): os.fsdecode(value) if eq else "true" for key, eq, value in pairs}
    return {os.fsdecode(origin) for origin in parts[::2]}, config


@contextmanager
def reading(repository: Repository) -> Iterator[Git]:
    """Yield a git that reads the user's index without changing it.

    A split or sparse index is read from a copy: reading it writes to the git directory.
    """
    # With a wrong core.ignoreCase git takes README and readme for one file and hides one.
    folds = (repository.git_dir / "head").exists()
    git = repository.git.configured(core__ignoreCase=str(folds).lower())
    shared = [path.name for path in repository.git_dir.glob("sharedindex.*") if is_plain(path)]
    sparse = _is_sparse(repository)
    if not shared and not sparse:
        yield git
        return
    with tempdirs.folder() as place:
        (place / "info").mkdir()
        for part in (*_OWN_PARTS, *shared):
            if (repository.git_dir / part).exists():
                shutil.copy2(repository.git_dir / part, place / part)
        (place / "commondir").write_bytes(os.fsencode(repository.common_dir))
        private = replace(git, directory=place)
        if sparse:
            private = replace(private, own_objects=_trees(git, place))
        yield private


def is_plain(path: Path) -> bool:
    """Return True for a regular file, not for a link or a device."""
    return not path.is_symlink() and path.is_file()


def _is_sparse(repository: Repository) -> bool:
    """Return True if the index may hold folders; a wrong True only costs time."""
    if not (repository.git_dir / "info" / "sparse-checkout").exists():
        return False
    try:
        return b"sdir" in repository.index.read_bytes()
    except FileNotFoundError:  # nothing was checked out yet
        return False


def _trees(git: Git, place: Path) -> Path:
    """Return an object store with HEAD and the trees of a sparse index.

    Git writes these trees when it expands the index, which would touch the user's objects.
    """
    commit = git.run("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1)).decode().strip()
    # With this setting git does not expand a folder for a file that exists in it.
    folded = git.configured(sparse__expectFilesOutsideOfPatterns="true", index__sparse="true")
    listed = folded.run("ls-files", "--sparse", "-s", "-z").split(b"\0")
    roots = {row.split()[1].decode() for row in listed if row.startswith(b"040000 ")}
    if commit:
        roots.add(git.line("rev-parse", f"{commit}^{{tree}}"))
    wanted = roots | {commit} - {""}
    for root in roots:
        rows = git.run("ls-tree", "-rtdz", root).split(b"\0")[:-1]
        wanted |= {row.split()[2].decode() for row in rows if b" tree " in row}
    pack = place / "objects" / "pack" / "pack-trees.pack"
    pack.parent.mkdir(parents=True)
    with pack.open("wb") as out:
        ids = "".join(f"{one}\n" for one in wanted).encode()
        git.run("pack-objects", "--stdout", "-q", "--window=0", stdin=ids, stdout=out)
    git.run("index-pack", str(pack))
    return place / "objects"


def without_filters(git: Git, config: Mapping[str, str]) -> Git:
    """Return the same git with every filter of ``config`` switched off.

    Attributes files, which may be untrusted, choose the files for a filter. Without a program
    git uses a file's bytes unchanged (convert.c).
    """
    names = {key.rpartition(".")[0] for key in config if key.startswith("filter.")}
    off = {f"{name}.{key}": "" for name in names for key in ("clean", "smudge", "process")}
    return replace(git, config=git.config | off | {f"{name}.required": "false" for name in names})
