"""All three differences as one record; a part that cannot be compared does not stop the rest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Literal, TypeVar

from jellyml.checkpoint.reader import MAX_UNPACKED
from jellyml.compare.endpoints import Endpoint, EndpointKind, opened
from jellyml.errors import JellyError, UsageError
from jellyml.fs.paths import path_of

if TYPE_CHECKING:
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
    """The files that differ, and how; ``patch`` is cut after 16 MiB, and ``cut`` then true."""

    files: "tuple[ChangedFile, ...]"
    patch: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs; a part that was not asked for, or is not there on both sides, is None."""

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
) -> Comparison:
    """Compare two checkpoints or commits; one is compared with the working tree of ``folder``.

    Nothing is loaded, unpickled or run. Raises JellyError where a part that is asked for by
    ``only`` cannot be compared.
    """
    names = fspath(one), None if other is None else fspath(other)
    with opened(*names, path_of(folder, "folder"), max_unpacked) as (before, after):
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
    """The parts that are asked for, each made when it is."""

    def __init__(self, before: Endpoint, after: Endpoint, only: Part | None = None) -> None:
        self.before = before
        self.after = after
        self.only = only
        self.notes: list[str] = []

    @contextmanager
    def code(self) -> "Iterator[Code | None]":
        """Both commits, as long as the block lasts."""
        if not self._wanted("code"):
            yield None
            return
        from jellyml.compare.code import compared

        making = compared(self.before, self.after)
        made = self._attempt(making.__enter__)
        try:
            yield made
        finally:
            if made:
                making.__exit__(None, None, None)

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
        from jellyml.compare.environment import compared

        return compared(_manifest(self.before), _manifest(self.after))

    def _weights(self) -> "Weights":
        from jellyml.compare.tensors import compared

        return compared(_arrays(self.before), _arrays(self.after))

    def _has(self, *kinds: EndpointKind) -> bool:
        """Whether both are of kinds that could have such a part: that others lack it is no news."""
        return self.before.kind in kinds and self.after.kind in kinds

    def _wanted(self, part: Part) -> bool:
        return self.only in (None, part)

    def _attempt(self, make: Callable[[], T]) -> T | None:
        """What cannot be made is noted, unless it is all that is wanted."""
        try:
            return make()
        except JellyError as problem:
            if self.only:
                raise
            self.notes.append(problem.problem)
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
    found = side.manifest()
    if found is None:
        fix = "name a checkpoint that records one: jellyml show MODEL --json"
        raise UsageError(f"{_capital(side.name)} does not record an environment.", fix)
    return found


def _arrays(side: Endpoint) -> "Arrays":
    found = side.arrays()
    if found is None:
        raise UsageError(f"{_capital(side.name)} has no weights.", "name two checkpoints.")
    return found


def _capital(name: str) -> str:
    return "The working tree" if name == "the working tree" else name
