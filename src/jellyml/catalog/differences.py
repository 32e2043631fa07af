"""What differs between neighbours, as much of it as can be had within some bounds."""

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
_MOST_OPEN = 16  # checkpoints whose code lies unpacked


@dataclass(frozen=True, slots=True)
class Patch:
    """The files that differ and how; ``cut`` where there is more of either."""

    files: tuple[ChangedFile, ...]
    patch: bytes
    cut: bool


@dataclass
class Differences:
    """By commits, and by numbers of checkpoints, the older first; a text says why there is none.

    ``late`` is true where time ran out before all neighbours were compared.
    """

    code: dict[tuple[str, str], Patch | str] = field(default_factory=dict)
    weights: dict[tuple[int, int], Weights | str] = field(default_factory=dict)
    late: bool = False


class _OutOfTime(Exception): ...


class Comparing:
    """Two by two, until time or room runs out."""

    def __init__(
        self, made: Lineage, repository: Repository | None, max_unpacked: int = MAX_UNPACKED
    ) -> None:
        self.differences = Differences()
        self._repository = repository
        self._here = made.here
        self._max_unpacked = max_unpacked
        self._code = list(islice(neighbours.of_code(made), MOST_PAIRS))
        self._weights = list(islice(neighbours.of_weights(made), MOST_PAIRS))

    def __len__(self) -> int:
        return len(self._code) + len(self._weights)

    def __iter__(self) -> Iterator[Pair]:
        """Each pair when it has been compared, for who shows how far it is."""
        yield from self._compare_code()
        yield from self._compare_weights()

    def _compare_code(self) -> Iterator[Pair]:
        until = time.monotonic() + _CODE_SECONDS
        room = _MOST_PATCHES
        with ExitStack() as stack:
            models = _Open(stack, self._max_unpacked)
            for one, other in self._code:
                assert one.commit
                assert other.commit
                if time.monotonic() > until or room <= 0:
                    self.differences.late = True
                    return
                try:
                    sides = self._side(one, models), self._side(other, models)
                    found: Patch | str = _patch(*sides)
                except JellyError as problem:
                    found = problem.problem
                room -= len(found.patch) if isinstance(found, Patch) else 0
                self.differences.code[one.commit, other.commit] = found
                yield one, other

    def _side(self, member: Member, models: "_Open") -> Endpoint:
        """From the user's repository where it is there: nothing has to be unpacked."""
        if self._repository and member.commit in self._here:
            return Endpoint(member.commit, "commit", repository=self._repository)
        return Endpoint(
            str(member.listed.path), "checkpoint", model=models.model(member.listed.path)
        )

    def _compare_weights(self) -> Iterator[Pair]:
        until = time.monotonic() + _WEIGHTS_SECONDS

        def watch(done: int, of: int) -> None:
            if time.monotonic() > until:
                raise _OutOfTime

        for one, other in self._weights:
            far = [each for each in (one, other) if isinstance(each.listed.path, Remote)]
            try:
                watch(0, 0)
                if far:
                    raise JellyError(f"The weights at {far[0].listed.path} are not fetched.")
                with (
                    CheckpointReader(one.listed.path) as before,
                    CheckpointReader(other.listed.path) as after,
                ):
                    found: Weights | str = tensors.compare(before.arrays, after.arrays, watch)
            except _OutOfTime:
                self.differences.late = True
                return
            except JellyError as problem:
                found = problem.problem
            self.differences.weights[one.number, other.number] = found
            yield one, other


class _Open:
    """The models used last, with their code unpacked."""

    def __init__(self, stack: ExitStack, max_unpacked: int) -> None:
        self._models: dict[Path | Remote, CheckpointReader] = {}
        self._max_unpacked = max_unpacked
        stack.callback(self._close, ())

    def model(self, path: Path | Remote) -> CheckpointReader:
        found = self._models.pop(path, None) or CheckpointReader(path, self._max_unpacked)
        self._models[path] = found
        self._close(list(self._models)[-_MOST_OPEN:])
        return found

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
    # Between lines, so that no credential is torn and passes for none.
    end = patch.rfind(b"\n", 0, _LONGEST_PATCH) + 1 if len(patch) > _LONGEST_PATCH else None
    return Patch(tuple(files[:_MOST_FILES]), bytes(patch[:end]), cut)
