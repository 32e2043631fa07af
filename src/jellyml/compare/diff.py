"""Compare code, environment and weights. A part that fails does not stop the others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Literal, TypeVar

from jellyml.budget import Exhausted
from jellyml.checkpoint.reader import MAX_UNPACKED
from jellyml.compare.endpoints import Endpoint, EndpointKind, open_endpoints
from jellyml.errors import JellyError, UsageError
from jellyml.fs.paths import path_of

if TYPE_CHECKING:
    from jellyml.budget import Budget
    from jellyml.compare.code import ChangedFile, Code
    from jellyml.compare.environment import Environment
    from jellyml.compare.tensors import Weights
    from jellyml.snapshot.manifest import Manifest
    from jellyml.tensors.readers import Arrays

Part = Literal["code", "env", "weights"]
PARTS: tuple[Part, ...] = ("code", "env", "weights")

_LARGEST_PATCH = 16 << 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CodeDifference:
    """The changed files and the patch, which is cut after 16 MiB; ``cut`` is then True."""

    files: "tuple[ChangedFile, ...]"
    patch: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences. A part that was not requested, or that one side lacks, is None."""

    before: str
    after: str
    code: CodeDifference | None
    environment: "Environment | None"
    weights: "Weights | None"
    notes: tuple[str, ...]  # why a part is missing


def diff(
    one: "str | PathLike[str]",
    other: "str | PathLike[str] | None" = None,
    *,
    only: Part | None = None,
    folder: "str | PathLike[str]" = ".",
    max_unpacked: int = MAX_UNPACKED,
    budget: "Budget | None" = None,
) -> Comparison:
    """Compare two checkpoints or commits; without ``other``, the working tree of ``folder``.

    Nothing is loaded, unpickled or run. Raises JellyError if the part in ``only`` cannot be
    compared; without ``only``, the result's ``notes`` say why a part is missing.
    """
    names = fspath(one), None if other is None else fspath(other)
    place = path_of(folder, "folder")
    with open_endpoints(*names, place, max_unpacked, budget) as (before, after):
        parts = Parts(before, after, only)
        with parts.code() as changed:
            difference = _read(changed) if changed else None
        return Comparison(
            before.name,
            after.name,
            difference,
            parts.environment(),
            parts.weights(),
            tuple(parts.notes),
        )


class Parts:
    """The requested parts; each method compares one when it is called."""

    def __init__(self, before: Endpoint, after: Endpoint, only: Part | None = None) -> None:
        self.before = before
        self.after = after
        self.only = only
        self.notes: list[str] = []

    @contextmanager
    def code(self) -> "Iterator[Code | None]":
        """Yield both commits while the block runs, or None."""
        if not self._wanted("code"):
            yield None
            return
        from jellyml.compare.code import compare

        context = compare(self.before, self.after)
        commits = self._attempt(context.__enter__)
        try:
            yield commits
        finally:
            if commits:
                context.__exit__(None, None, None)

    def environment(self) -> "Environment | None":
        if not self._wanted("env") or not (self.only or self._has("checkpoint", "working tree")):
            return None
        return self._attempt(self._environment)

    def weights(self) -> "Weights | None":
        if not self._wanted("weights") or not (self.only or self._has("checkpoint")):
            return None
        if not self.only and (self.before.is_far or self.after.is_far):
            self.notes.append(
                "The weights were not compared, for all of them would be fetched."
                " Fix: jellyml diff --only weights"
            )
            return None
        return self._attempt(self._weights)

    def _environment(self) -> "Environment":
        from jellyml.compare.environment import compare

        return compare(_manifest(self.before), _manifest(self.after))

    def _weights(self) -> "Weights":
        from jellyml.compare.tensors import compare

        arrays = _arrays(self.before), _arrays(self.after)
        with self.before.budget.part("the comparison of the weights"):
            return compare(*arrays, budget=self.before.budget)

    def _has(self, *kinds: EndpointKind) -> bool:
        """Return whether both kinds can have the part. If not, no note says that it is missing."""
        return self.before.kind in kinds and self.after.kind in kinds

    def _wanted(self, part: Part) -> bool:
        return self.only in (None, part)

    def _attempt(self, make: Callable[[], T]) -> T | None:
        """Return the part, or None with a note if it fails. With ``only``, raise the error."""
        try:
            return make()
        except JellyError as problem:
            if self.only:
                raise
            self.notes.append(str(problem) if isinstance(problem, Exhausted) else problem.problem)
            return None


def _read(changed: "Code") -> CodeDifference:
    patch = bytearray()
    cut = False
    for piece in changed.patch():
        patch += piece
        if len(patch) > _LARGEST_PATCH:
            cut = True
            break
    return CodeDifference(tuple(changed.files()), bytes(patch[:_LARGEST_PATCH]), cut)


def _manifest(side: Endpoint) -> "Manifest":
    manifest = side.manifest()
    if manifest is None:
        fix = "name a checkpoint that records one: jellyml show MODEL --json"
        raise UsageError(f"{_capital(side.name)} does not record an environment.", fix)
    return manifest


def _arrays(side: Endpoint) -> "Arrays":
    arrays = side.arrays()
    if arrays is None:
        raise UsageError(f"{_capital(side.name)} has no weights.", "name two checkpoints.")
    return arrays


def _capital(name: str) -> str:
    return "The working tree" if name == "the working tree" else name
