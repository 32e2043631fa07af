"""Compare neighbours within limits of time and size."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from jellyml.catalog import neighbours
from jellyml.catalog.graph import Lineage, Member
from jellyml.catalog.neighbours import Pair
from jellyml.checkpoint.reader import MAX_UNPACKED, CheckpointReader
from jellyml.compare import code, tensors
from jellyml.compare.code import ChangedFile
from jellyml.compare.endpoints import Endpoint
from jellyml.compare.tensors import Weights
from jellyml.errors import JellyError
from jellyml.remote.address import Remote
from jellyml.repo.repository import Repository

MOST_PAIRS = 600  # of each kind
_CODE_SECONDS, _WEIGHTS_SECONDS = 30.0, 60.0
_LONGEST_PATCH = 64 << 10  # bytes
_MOST_PATCHES = 6 << 20
_MOST_FILES = 200
_MOST_OPEN = 16  # checkpoints whose code is unpacked


@dataclass(frozen=True, slots=True)
class Patch:
    """The changed files and the patch; ``cut`` if either exceeds its limit."""

    files: tuple[ChangedFile, ...]
    patch: bytes
    cut: bool


@dataclass
class Differences:
    """Differences by pairs of commits, and by pairs of checkpoint numbers, the older first.

    A text says why a pair could not be compared. ``late`` is true if time ran out before all
    neighbours were compared.
    """

    code: dict[tuple[str, str], Patch | str] = field(default_factory=dict)
    weights: dict[tuple[int, int], Weights | str] = field(default_factory=dict)
    late: bool = False


class _OutOfTime(Exception): ...


class NeighbourComparison:
    """Compare pairs of neighbours, until a limit of time or size is reached."""

    def __init__(
        self, tree: Lineage, repository: Repository | None, max_unpacked: int = MAX_UNPACKED
    ) -> None:
        self.differences = Differences()
        self._repository = repository
        self._here = tree.here
        self._max_unpacked = max_unpacked
        self._code = list(islice(neighbours.of_code(tree), MOST_PAIRS))
        self._weights = list(islice(neighbours.of_weights(tree), MOST_PAIRS))

    def __len__(self) -> int:
        return len(self._code) + len(self._weights)

    def __iter__(self) -> Iterator[Pair]:
        """Yield each pair after its comparison, so that the caller can show progress."""
        yield from self._compare_code()
        yield from self._compare_weights()

    def _compare_code(self) -> Iterator[Pair]:
        deadline = time.monotonic() + _CODE_SECONDS
        room = _MOST_PATCHES
        with ExitStack() as stack:
            models = _Open(stack, self._max_unpacked)
            for one, other in self._code:
                assert one.commit
                assert other.commit
                if time.monotonic() > deadline or room <= 0:
                    self.differences.late = True
                    return
                try:
                    sides = self._side(one, models), self._side(other, models)
                    patch: Patch | str = _patch(*sides)
                except JellyError as problem:
                    patch = problem.problem
                room -= len(patch.patch) if isinstance(patch, Patch) else 0
                self.differences.code[one.commit, other.commit] = patch
                yield one, other

    def _side(self, member: Member, models: "_Open") -> Endpoint:
        """Prefer the commit in the user's repository: it needs no unpacking."""
        if self._repository and member.commit in self._here:
            return Endpoint(member.commit, "commit", repository=self._repository)
        return Endpoint(str(member.entry.path), "checkpoint", model=models.model(member.entry.path))

    def _compare_weights(self) -> Iterator[Pair]:
        deadline = time.monotonic() + _WEIGHTS_SECONDS

        def watch(done: int, of: int) -> None:
            if time.monotonic() > deadline:
                raise _OutOfTime

        for one, other in self._weights:
            far = [each for each in (one, other) if isinstance(each.entry.path, Remote)]
            try:
                watch(0, 0)
                if far:
                    raise JellyError(f"The weights at {far[0].entry.path} are not fetched.")
                with (
                    CheckpointReader(one.entry.path) as before,
                    CheckpointReader(other.entry.path) as after,
                ):
                    weights: Weights | str = tensors.compare(before.arrays, after.arrays, watch)
            except _OutOfTime:
                self.differences.late = True
                return
            except JellyError as problem:
                weights = problem.problem
            self.differences.weights[one.number, other.number] = weights
            yield one, other


class _Open:
    """The most recently used checkpoints, with their code unpacked."""

    def __init__(self, stack: ExitStack, max_unpacked: int) -> None:
        self._models: dict[Path | Remote, CheckpointReader] = {}
        self._max_unpacked = max_unpacked
        stack.callback(self._close, ())

    def model(self, path: Path | Remote) -> CheckpointReader:
        reader = self._models.pop(path, None) or CheckpointReader(path, self._max_unpacked)
        self._models[path] = reader
        self._close(list(self._models)[-_MOST_OPEN:])
        return reader

    def _close(self, but: Iterable[Path | Remote]) -> None:
        for path in self._models.keys() - set(but):
            self._models.pop(path).close()


def _patch(one: Endpoint, other: Endpoint) -> Patch:
    with code.compare(one, other) as both:
        files = list(islice(both.files(), _MOST_FILES + 1))
        patch = bytearray()
        for piece in both.patch():
            patch += piece
            if len(patch) > _LONGEST_PATCH:
                break
    cut = len(patch) > _LONGEST_PATCH or len(files) > _MOST_FILES
    # Cut between lines: half of a credential would not be recognised and masked.
    end = patch.rfind(b"\n", 0, _LONGEST_PATCH) + 1 if len(patch) > _LONGEST_PATCH else None
    return Patch(tuple(files[:_MOST_FILES]), bytes(patch[:end]), cut)
