"""What is compared: a checkpoint, a commit, or the working tree, by what the user calls it."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jellyml.checkpoint.reader import MAX_UNPACKED, CheckpointReader
from jellyml.errors import NotARepository, UsageError, pasteable
from jellyml.formats.record import KEY
from jellyml.fs.paths import mode_of
from jellyml.remote.address import place_of
from jellyml.snapshot.manifest import Manifest

if TYPE_CHECKING:
    from jellyml.compare.commits import Commit
    from jellyml.repo.repository import Repository
    from jellyml.tensors.readers import Arrays

EndpointKind = Literal["checkpoint", "commit", "working tree"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of the two. What it is asked for is read then; nothing of it is run."""

    name: str
    kind: EndpointKind
    model: CheckpointReader | None = None
    repository: "Repository | None" = None

    @property
    def is_far(self) -> bool:
        return self.model is not None and not isinstance(self.model.path, Path)

    @contextmanager
    def commit(self) -> "Iterator[Commit]":
        """Its code. NoSnapshot, BadSnapshot, GitError, UsageError."""
        from jellyml.compare import commits

        if self.model:
            yield commits.of_checkpoint(self.model.inside.incoming)
            return
        assert self.repository
        if self.kind == "commit":
            yield commits.of_repository(self.repository, self.name)
            return
        with commits.of_working_tree(self.repository) as commit:
            yield commit

    def manifest(self) -> Manifest | None:
        """How it was made, or would be made here; None where nobody wrote that down."""
        if self.model:
            found = self.model.manifest
            return None if found is None else Manifest(found)
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
        """Its weights; None for code alone. NoArrays, TooMuch."""
        return self.model.arrays if self.model else None


@contextmanager
def opened(
    one: str, other: str | None, folder: Path, max_unpacked: int = MAX_UNPACKED
) -> Iterator[tuple[Endpoint, Endpoint]]:
    """The two sides; ``other`` is the working tree of ``folder`` where it is None."""
    sides = [_side(name, folder, max_unpacked) for name in (one, other)]
    try:
        yield sides[0], sides[1]
    finally:
        for side in sides:
            if side.model:
                side.model.close()


def _side(name: str | None, folder: Path, max_unpacked: int) -> Endpoint:
    if name is None:
        return Endpoint("the working tree", "working tree", repository=_repository(folder, None))
    path = place_of(name)
    if not isinstance(path, Path):
        return Endpoint(str(path), "checkpoint", model=CheckpointReader(path, max_unpacked))
    mode = mode_of(path)
    if stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and _is_checkpoint(path)):
        return Endpoint(name, "checkpoint", model=CheckpointReader(path, max_unpacked))
    from jellyml.compare import commits

    repository = _repository(folder, name)
    commits.of_repository(repository, name)  # raises now, before anything else is looked at
    return Endpoint(name, "commit", repository=repository)


def _is_checkpoint(folder: Path) -> bool:
    """A folder may have the name of a branch: it has to hold what checkpoints hold."""
    marks = (
        f"{KEY}.*",
        "*.index.json",
        "*.safetensors",
        "*.bin",
        "*.pt",
        "*.pth",
        "*.ckpt",
        "*.gguf",
    )
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
