"""Find the two endpoints of a comparison: checkpoint, commit or working tree."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jellyml.budget import Budget
from jellyml.checkpoint.bounded_file import Sources
from jellyml.checkpoint.reader import MAX_UNPACKED, CheckpointReader
from jellyml.errors import NotARepository, UsageError, pasteable
from jellyml.formats import signatures
from jellyml.formats.record import KEY
from jellyml.formats.signatures import INDEX_SUFFIX, Use
from jellyml.fs.paths import mode_of
from jellyml.remote.address import parse_location
from jellyml.snapshot.manifest import Manifest

if TYPE_CHECKING:
    from jellyml.compare.commits import StoredCommit
    from jellyml.repo.repository import Repository
    from jellyml.tensors.readers import Arrays

EndpointKind = Literal["checkpoint", "commit", "working tree"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a comparison. Each part is read on demand; none of its code is run."""

    name: str
    kind: EndpointKind
    model: CheckpointReader | None = None
    repository: "Repository | None" = None

    @property
    def is_far(self) -> bool:
        return self.model is not None and not isinstance(self.model.path, Path)

    @property
    def budget(self) -> Budget:
        """Return that of its reader; the other kinds read no untrusted file."""
        return self.model.budget if self.model else Budget.of_library()

    @contextmanager
    def commit(self, beside: "StoredCommit | None" = None) -> "Iterator[StoredCommit]":
        """Yield its code. ``beside`` is the commit that a working tree is compared with.

        Raises NoSnapshot, BadSnapshot, GitError, UsageError.
        """
        from jellyml.compare import commits

        if self.model:
            yield commits.of_checkpoint(self.model.inside.incoming)
            return
        assert self.repository
        if self.kind == "commit":
            yield commits.of_repository(self.repository, self.name)
            return
        with commits.of_working_tree(self.repository, beside) as commit:
            yield commit

    def manifest(self) -> Manifest | None:
        """Return the recorded manifest, or the one a capture would record; None for a commit."""
        if self.model:
            manifest = self.model.manifest
            return None if manifest is None else Manifest(manifest)
        if self.kind == "commit" or not self.repository:
            return None
        from jellyml.snapshot import environment

        return Manifest(
            {
                "python": environment.python(),
                "machine": environment.machine(),
                "distributions": environment.distributions(self.repository.root),
                "lock_files": environment.lock_files(self.repository.root),
                "variables": environment.variables(),
            }
        )

    def arrays(self) -> "Arrays | None":
        """Return its weights, None if it is only code. Raises NoArrays, TooMuch."""
        return self.model.arrays if self.model else None


@contextmanager
def open_endpoints(
    one: str,
    other: str | None,
    folder: Path,
    max_unpacked: int = MAX_UNPACKED,
    budget: Budget | None = None,
) -> Iterator[tuple[Endpoint, Endpoint]]:
    """Yield both endpoints. ``other`` = None is the working tree of ``folder``."""
    budget = budget or Budget.of_library()
    sides = [_side(name, folder, max_unpacked, budget) for name in (one, other)]
    try:
        yield sides[0], sides[1]
    finally:
        for side in sides:
            if side.model:
                side.model.close()


def _side(name: str | None, folder: Path, max_unpacked: int, budget: Budget) -> Endpoint:
    if name is None:
        return Endpoint("the working tree", "working tree", repository=_repository(folder, None))
    path = parse_location(name)
    model = CheckpointReader(path, max_unpacked, Sources(budget))
    if not isinstance(path, Path):
        return Endpoint(str(path), "checkpoint", model=model)
    mode = mode_of(path)
    if stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and _is_checkpoint(path)):
        return Endpoint(name, "checkpoint", model=model)
    from jellyml.compare import commits

    repository = _repository(folder, name)
    commits.of_repository(repository, name)  # raises now, before anything else is read
    return Endpoint(name, "commit", repository=repository)


def _is_checkpoint(folder: Path) -> bool:
    """Return whether a folder holds checkpoint files. Its name may be that of a branch too."""
    suffixes = (INDEX_SUFFIX, *signatures.suffixes(Use.SHARD))
    marks = (f"{KEY}.*", *(f"*{suffix}" for suffix in suffixes))
    return any(next(folder.glob(mark), None) for mark in marks)


def _repository(folder: Path, name: str | None) -> "Repository":
    from jellyml.repo.repository import Repository

    try:
        return Repository.find(folder)
    except NotARepository:
        if name is None:
            raise UsageError(
                f"{folder.absolute()} is in no git repository, so there is no working tree to"
                " compare with.",
                "name two checkpoints: jellyml diff A B",
            ) from None
        raise UsageError(
            f"There is no file {name}, and {folder.absolute()} is in no git repository.",
            f"check the name: ls -d {pasteable(name)}",
        ) from None
