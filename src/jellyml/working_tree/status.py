"""What git says of a working tree: status, configuration and index, asked at the same time."""

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
    """Indexes in which status looks at every path, by checksum; and whether they list rules.

    ``before`` is what an earlier glance found, ``now`` what this one finds.
    """

    before: dict[str, bool] = field(default_factory=dict)
    now: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """Git's own words, not yet understood."""

    repository: Repository
    config: dict[str, str]
    status: bytes
    errors: bytes
    index: str  # its checksum; empty where that says nothing
    listed: bytes | None  # None where the index was known to be plain


def glance(
    place: Repository,
    *,
    ignored: bool,
    plain: PlainIndexes,
    meanwhile: Callable[[Repository], None],
) -> Said:
    """Ask for everything; ``meanwhile`` is called while git is at work.

    Raises WrongGuess where ``place`` was a guess and git does not bear it out.
    """
    try:
        return _asked(place, ignored, plain, meanwhile)
    except TookTooLong:
        raise
    except GitError:
        if place.guessed:
            raise WrongGuess from None
        raise


def _asked(
    place: Repository,
    ignored: bool,
    plain: PlainIndexes,
    meanwhile: Callable[[Repository], None],
) -> Said:
    asked = (*_STATUS, "--ignored=matching") if ignored else _STATUS
    index = _checksum(place)
    with (
        reading(place) as git,
        _listing(git, needed=index not in plain.before) as listing,
    ):
        # First: only with the names of all filters known can status be kept from running any.
        origins, config = _config(git.run(*_CONFIG))
        repository = confirmed(place, origins, config)
        with without_filters(git, config).start(*asked) as status:
            meanwhile(repository)
            listed = listing()
            output, errors = git.collect(status)
        if index != _checksum(place):  # somebody staged or committed something
            index, listed = "", git.run(*_LIST)
        return Said(repository, config, output, errors, index, listed)


@contextmanager
def _listing(git: Git, *, needed: bool) -> Iterator[Callable[[], bytes | None]]:
    if needed:
        with git.start(*_LIST) as files:
            yield lambda: git.collect(files)[0]
    else:
        yield lambda: None


def _checksum(repository: Repository) -> str:
    """What the index says of its own bytes, as their name; empty where it does not."""
    if (repository.git_dir / "info" / "sparse-checkout").exists():
        return ""  # there flags depend on what lies on disk, too
    try:
        with repository.index.open("rb", buffering=0) as file:
            size = file.seek(-20, os.SEEK_END) + 20
            end = file.read(20)
    except OSError:
        return ""
    return f"{size}-{end.hex()}" if any(end) else ""  # index.skipHash leaves zeros


def _config(output: bytes) -> tuple[set[str], dict[str, str]]:
    """Where settings come from, and the settings."""
    parts = output.split(b"\0")[:-1]
    pairs = (item.partition(b"\n") for item in parts[1::2])
    config = {os.fsdecode(key): os.fsdecode(value) if eq else "true" for key, eq, value in pairs}
    return {os.fsdecode(origin) for origin in parts[::2]}, config


@contextmanager
def reading(repository: Repository) -> Iterator[Git]:
    """Git on the user's index as it is.

    A split one is read from a copy: git marks its shared part as used whenever it reads it.
    """
    # Untrue settings hide files: git believes that README and readme are one.
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
    """True for a regular file itself: a link or a device in its place is not read."""
    return not path.is_symlink() and path.is_file()


def _is_sparse(repository: Repository) -> bool:
    """True for an index that holds folders; false alarms do no harm."""
    if not (repository.git_dir / "info" / "sparse-checkout").exists():
        return False
    return b"sdir" in repository.index.read_bytes()


def _trees(git: Git, place: Path) -> Path:
    """An object store with HEAD and the trees that an index of folders is unfolded from.

    Git writes those trees anew, and would mark the user's own as used.
    """
    commit = git.run("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1)).decode().strip()
    # Told to expect files there, git does not unfold a folder for one that lies in it.
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
    """The same git with every filter of ``config`` switched off.

    Which files a filter is for is said in attributes files, which a stranger's code brings
    along. Without a program git takes a file's bytes as they are (convert.c).
    """
    names = {key.rpartition(".")[0] for key in config if key.startswith("filter.")}
    off = {f"{name}.{key}": "" for name in names for key in ("clean", "smudge", "process")}
    return replace(git, config=git.config | off | {f"{name}.required": "false" for name in names})
