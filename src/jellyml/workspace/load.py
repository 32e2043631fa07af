"""A checkpoint being loaded: verified in a quarantine, then staged and taken into the store."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.checkpoint.reader import unpacking
from jellyml.errors import BadSnapshot, JellyError, NotARepository, UsageError, pasteable
from jellyml.fs.atomic import remove_tree
from jellyml.fs.paths import mode_of
from jellyml.quarantine.quarantine import Quarantine, VerifiedCode
from jellyml.remote.address import Location, Remote
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository
from jellyml.repo.work_tree import in_git_directory
from jellyml.snapshot.manifest import Manifest
from jellyml.working_tree.scan import Scan
from jellyml.workspace import relation, staging
from jellyml.workspace.operation_log import Journal, Move
from jellyml.workspace.plan import differences, unknown_to
from jellyml.workspace.session import Drafted, Session
from jellyml.workspace.staging import Staged
from jellyml.workspace.state import EMPTY_TREE
from jellyml.workspace.store import Store

_FEW = 10
_HELD = 48 << 20  # bytes of code to cache, so that they are read once
_BESIDE = ".jellyml-new"  # temporary folder in which a missing repository is created


@dataclass(frozen=True)
class IncomingSnapshot:
    """A checkpoint whose code is verified in the background."""

    path: Location
    checkpoint: Checkpoint
    quarantine: Quarantine
    warnings: list[str] = field(default_factory=list)

    @property
    def incoming(self) -> VerifiedCode:
        """Return the verified code. Raises BadSnapshot, GitError."""
        return self.quarantine.incoming

    @property
    def manifest(self) -> Manifest:
        """Return the checkpoint's manifest; empty if it is missing or unreadable."""
        try:
            return Manifest(self.checkpoint.manifest)
        except BadSnapshot:
            return Manifest()

    def inside(self, root: Path) -> tuple[bytes, ...]:
        """Return the checkpoint's own paths in a working tree, which never move."""
        if isinstance(self.path, Remote):
            return ()
        places = {self.path, self.path.resolve()}
        inside = [place for place in places if place.is_relative_to(root)]
        return tuple(os.fsencode(place.relative_to(root)) for place in inside)

    def files_inside(self, root: Path) -> set[bytes]:
        """Return the files of the checkpoint's folder in a working tree."""
        places = (root / os.fsdecode(place) for place in self.inside(root))
        files = (one for place in places if place != root for one in place.rglob("*"))
        return {os.fsencode(one.relative_to(root)) for one in files if not one.is_dir()}

    def check_fits(self, session: Session) -> None:
        """Raise an error for code that this repository or file system cannot hold."""
        if self.incoming.object_format != session.repository.object_format:
            raise JellyError(
                f"The code in {self.path.name} is in git's {self.incoming.object_format} format,"
                f" this repository in {session.repository.object_format}.",
                f"jellyml load {pasteable(self.path)} --to NEW-FOLDER",
            )
        names = self.incoming.names_that_fold
        if names and _folds(session.private):
            raise BadSnapshot(
                f"Names in the code differ only by case ({names[0]}), and this file system"
                " does not tell them apart.",
                "load it on a file system that does.",
            )

    def moves(self, drafted: Drafted) -> list[Move]:
        """Return all differences between the working tree and the snapshot."""
        return list(differences(drafted.place.git, drafted.draft.state.files, self.incoming.tree))

    def lost_to_unrelated(self, session: Session, scan: Scan, moves: Sequence[Move]) -> int:
        """Return how many files would be removed, if the code is unrelated to them; else 0."""
        lost = relation.lost(moves, scan)
        if not lost or relation.shares_a_path(moves, self.incoming.files, scan):
            return 0
        ids = list(filter(None, (self.checkpoint.header.stands_for, self.manifest.base)))
        related = relation.shares_a_commit(session.repository, self.incoming, ids)
        return 0 if related else lost

    def stage(self, session: Session, drafted: Drafted, moves: Sequence[Move]) -> Staged:
        """Write the files that differ to the staging folder, and return the paths that move."""
        git = drafted.place.git
        draft = drafted.draft
        if draft.converted and draft.scan.head:
            # A file that git calls unmodified, with the snapshot's blob: it stays, whatever
            # attributes convert between its bytes and the blob.
            differing = {m.path for m in differences(git, draft.scan.head, self.incoming.tree)}
            same = draft.converted - differing
            moves = [move for move in moves if move.path not in same]
        nested = [prefix for prefix, _ in draft.scan.layers() if prefix]
        spared = unknown_to(git, self.incoming.tree, nested)
        moves = [move for move in moves if not move.path.startswith(spared)]
        limited = self._limited(git)
        return staging.write_snapshot(
            replace(drafted.place, git=limited),
            moves,
            self._rules(limited) if self.incoming.has_rules else (),
            session.mover.stage,
            draft.scan.conversion(),
            session.lfs,
            session.repository.object_format,
        )

    def _rules(self, git: Git) -> Iterator[Move]:
        """Yield the attributes files of the loaded tree, changed or not."""
        empty = EMPTY_TREE[self.incoming.object_format]
        return differences(git, empty, self.incoming.tree, ":(glob)**/.gitattributes")

    def _limited(self, git: Git) -> Git:
        """Return git with limits for untrusted objects; large files are read in pieces."""
        config = git.config | {"core.bigFileThreshold": "16m"}
        return replace(git, config=config, hold=self.incoming.limits.hold)

    def bring_commit(self, store: Store) -> str:
        """Copy the snapshot's commit into the store, with its true history if that was cut."""
        commit = self._true_commit(store.repository) or self.incoming.commit
        store.take_snapshot(commit, self.incoming.objects)
        return commit

    def _true_commit(self, repository: Repository) -> str | None:
        wanted = self.checkpoint.header.stands_for
        if wanted is None:
            return None
        if not self._has_tree(repository.git, wanted):
            from jellyml.workspace.rebuild import rebuild  # late: it takes long to import

            rebuild(wanted, self.manifest.commit_texts(), self.incoming.git, repository.objects)
            if not self._has_tree(self.incoming.git, wanted):
                self.warnings.append(
                    "The history was left out of this snapshot, and is not in this repository:"
                    " its commit has no history."
                )
                return None
        return wanted

    def _has_tree(self, git: Git, commit: str) -> bool:
        """Return whether a commit exists and has exactly the loaded tree."""
        question = ("rev-parse", "-q", "--verify", f"{commit}^{{tree}}")
        return git.run(*question, accept=(0, 1)).decode().strip() == self.incoming.tree

    @contextmanager
    def index(
        self, session: Session, drafted: Drafted, commit: str
    ) -> Iterator[Callable[[Path], bool]]:
        """Build the index of the loaded code while its files move.

        Yields a function that writes the index to a path, refreshed from the files on disk.
        """
        repository, new = session.repository, drafted.place.directory / "loaded-index"
        git = replace(drafted.place.ruled(drafted.draft.scan), index=new)
        plain = not drafted.draft.scan.hidden and not any(repository.git_dir.glob("sharedindex.*"))
        if plain and repository.index.exists():
            # Unchanged entries keep their times, so that git need not read the files again.
            shutil.copy2(repository.index, new)

        def put(to: Path) -> bool:
            git.collect(reading)
            git.run("update-index", "-q", "--refresh", accept=(0, 1))
            new.replace(to)
            return True

        with git.start("read-tree", "--reset", "-i", commit) as reading:
            yield put

    def left_out(self) -> list[str]:
        """Return warnings for files that the snapshot does not contain."""
        names = self.manifest.left_out
        warnings = [f"{name} was not in the snapshot." for name in names[:_FEW]]
        if len(names) > _FEW:
            warnings.append(f"{len(names) - _FEW} more files were not in the snapshot.")
        return warnings


def _folds(folder: Path) -> bool:
    """Return whether names that differ only by case are the same file."""
    probe = folder / "Fold"
    probe.touch()
    try:
        return (folder / "fOLD").exists()
    finally:
        probe.unlink()


@contextmanager
def open_incoming(path: Location, max_unpacked: int) -> Iterator[IncomingSnapshot]:
    """Open a checkpoint and start to unpack its code. Raises NoSnapshot, BadSnapshot."""
    checkpoint = Checkpoint.open(path, cache_size=_HELD)
    with suppress(BadSnapshot):
        _ = checkpoint.manifest  # read before another thread reads the same remote file
    with unpacking(checkpoint, max_unpacked) as quarantine:
        arrival = IncomingSnapshot(path, checkpoint, quarantine)
        arrival.warnings.extend(arrival.left_out())
        yield arrival


@dataclass(frozen=True, slots=True)
class Target:
    """The destination. ``existing``: the files in a folder that became a repository."""

    repository: Repository
    new: bool = False
    existing: tuple[bytes, ...] = ()


@contextmanager
def load_target(
    folder: Path, object_format: str, *, fresh: bool, dry_run: bool
) -> Iterator[Target]:
    """Yield the repository to load into. A missing one is created, and removed on failure."""
    created: Path | None = None
    if fresh:
        created = _fresh(folder)
    elif not _is_folder(folder):
        raise UsageError(
            f"{folder} is not a folder.", f"jellyml load MODEL --to {pasteable(folder)}"
        )
    else:
        try:
            repository = Repository.find(folder)
            half_made = _is_half_made(repository)
            yield Target(repository, half_made, _entries(repository.root) if half_made else ())
            return
        except NotARepository:
            if in_git_directory(folder):
                raise
    remove_tree(folder / _BESIDE)  # left by a killed load
    existing = _entries(folder)
    try:
        if fresh and in_git_directory(folder.parent):
            raise UsageError(f"{folder} is in a git directory.", "name a folder outside of it.")
        _make_repository(folder, object_format)
        yield Target(Repository.find(folder), new=True, existing=existing)
    except BaseException:
        _unmake(folder, created)
        raise
    if dry_run:
        _unmake(folder, created)


def _entries(folder: Path) -> tuple[bytes, ...]:
    return tuple(os.fsencode(path.name) for path in folder.iterdir() if path.name != ".git")


def _is_half_made(repository: Repository) -> bool:
    """Return whether a killed load created this repository: the files in it are the user's."""
    store = Store(repository)
    if repository.index.exists() or not store.base.is_dir() or repository.commit():
        return False
    operations = Journal(store.private / "ops").operations()
    return not any(one.status == "done" for one in operations)


def _make_repository(folder: Path, object_format: str) -> None:
    """Create the repository in a temporary folder, then rename it into place.

    A killed ``git init`` would leave a repository that git cannot use.
    """
    beside = folder / _BESIDE
    beside.mkdir()
    try:
        Git(beside).run("init", "-q", f"--object-format={object_format}")
        (beside / ".git" / "jellyml").mkdir(mode=0o700)  # marks the repository for the next load
        (beside / ".git").rename(folder / ".git")
    finally:
        remove_tree(beside)


def _fresh(folder: Path) -> Path | None:
    """Create a folder, or accept an empty one. Returns the topmost folder that was created."""
    if _is_folder(folder) and {path.name for path in folder.iterdir()} <= {_BESIDE}:
        return None
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{folder} is there and not empty.", "name a new folder.") from None
    except OSError as error:
        for path in missing:  # some parents may have been created
            with suppress(OSError):
                path.rmdir()
        raise UsageError(
            f"{folder} cannot be made: {error.strerror or error}.", "name another folder."
        ) from None
    return missing[-1]


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(mode_of(path))


def _unmake(folder: Path, created: Path | None) -> None:
    shutil.rmtree(created or folder / ".git", ignore_errors=True)
