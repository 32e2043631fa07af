"""A checkpoint opened to be looked at: each part is read when it is asked for, and nothing runs."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, cast

from jellyml.errors import BadSnapshot, JellyError, NoSnapshot, UsageError, pasteable
from jellyml.remote.address import Location, Remote, place_of
from jellyml.remote.file import BlockFile

if TYPE_CHECKING:
    from os import PathLike

    from jellyml.checkpoint.checkpoint import Checkpoint
    from jellyml.quarantine.quarantine import Quarantine, VerifiedCode
    from jellyml.quarantine.reader import File, FileKind, Inside
    from jellyml.tensors.readers import Arrays

MAX_UNPACKED = 4 << 30

# What lies in an archive is named only by reading at each array: all would be fetched twice.
_TWICE: Final = 64 << 20
_NAMED_AT_THE_BEGINNING = ("safetensors", "gguf", "npy")


@contextmanager
def unpacking(checkpoint: "Checkpoint", max_unpacked: int = MAX_UNPACKED) -> "Iterator[Quarantine]":
    """The checkpoint's bundle on its way into quarantine, beside what the caller does.

    BadSnapshot if it is not what its header says.
    """
    from jellyml.checkpoint.bounded_file import AGAIN
    from jellyml.quarantine import quarantine as quarantined_bundle

    size = checkpoint.header.size
    saved = checkpoint.saved_bundle()
    with quarantined_bundle.unpacking(saved, size=size, max_unpacked=max_unpacked) as quarantine:
        claimed = checkpoint.header.commit
        if claimed and claimed != quarantine.commit:
            raise BadSnapshot(
                f"The header of the snapshot in {checkpoint.path} names another commit than its"
                " bundle holds.",
                AGAIN,
            )
        yield quarantine


@contextmanager
def unpacked(
    checkpoint: "Checkpoint", max_unpacked: int = MAX_UNPACKED
) -> "Iterator[VerifiedCode]":
    """The checkpoint's bundle in quarantine, found good; BadSnapshot, GitError."""
    with unpacking(checkpoint, max_unpacked) as quarantine:
        yield quarantine.incoming


def open(path: "str | PathLike[str]", *, max_unpacked: int = MAX_UNPACKED) -> "CheckpointReader":
    """Open a checkpoint, a file, a folder or an address (``s3://...``), to look into it.

    ``max_unpacked`` is how many bytes its code may unpack to. Raises NoSnapshot where there is
    no such file, JellyError where it cannot be reached; whatever else may be wrong shows when a
    part is asked for.
    """
    from jellyml.checkpoint.bounded_file import told

    place = place_of(path)
    if isinstance(place, Path):
        with told(place):
            place.stat()
    return CheckpointReader(place, max_unpacked)


class CheckpointReader:
    """One checkpoint. The code in it is unpacked once, into a folder that goes with this object.

    ``close`` it, or use it in a ``with`` block, to have that folder gone at once.
    """

    def __init__(self, path: Location, max_unpacked: int = MAX_UNPACKED) -> None:
        self.path = path
        self._max_unpacked = max_unpacked
        self._stack = ExitStack()
        self._finalizer = weakref.finalize(self, self._stack.close)

    def __repr__(self) -> str:
        return f"jellyml.open({str(self.path)!r})"

    def __enter__(self) -> "CheckpointReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop what was unpacked; asked for again, it is unpacked again."""
        self._stack.close()
        self.__dict__.pop("inside", None)
        self.__dict__.pop("files", None)

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """Where the snapshot lies; NoSnapshot, BadSnapshot."""
        from jellyml.checkpoint.checkpoint import Checkpoint

        return Checkpoint.open(self.path)

    @property
    def commit(self) -> str | None:
        """The commit of the code; None where the checkpoint carries no code. BadSnapshot."""
        try:
            header = self.checkpoint.header
        except NoSnapshot:
            return None
        return header.stands_for or header.commit or self.inside.incoming.commit

    @property
    def manifest(self) -> dict[str, object] | None:
        """How the model was made, if that was recorded. BadSnapshot."""
        try:
            return self.checkpoint.manifest
        except NoSnapshot:
            return None

    @cached_property
    def inside(self) -> "Inside":
        """The code, in quarantine. NoSnapshot, BadSnapshot, GitError."""
        from jellyml.quarantine.reader import Inside

        return Inside(self._stack.enter_context(unpacked(self.checkpoint, self._max_unpacked)))

    @cached_property
    def files(self) -> "Files":
        """The files of the code, by their paths from its root, read when asked for."""
        return Files(self, {file.path: file for file in self.inside.files()})

    @cached_property
    def arrays(self) -> "Arrays":
        """The arrays by their names, none of them read. NoArrays, TooMuch."""
        if not isinstance(self.path, Path):
            return arrays_at(self.path)
        from jellyml.tensors.readers import arrays_of

        return arrays_of(self.path)

    def patch(self) -> Iterator[bytes]:
        """What had been changed since the last commit, as ``git diff`` prints it.

        Nothing comes where the code is that commit's own. Raises JellyError where the commit
        was cut off, so that only the user's repository can have it.
        """
        inside = self.inside
        base = inside.base()
        if base is None and self._is_cut:
            from jellyml.snapshot.manifest import Manifest

            known = Manifest(self.manifest).base
            raise JellyError(
                "The commit that this code was made upon is not in the checkpoint: its history"
                " was cut.",
                f"in its repository: jellyml diff {known or 'COMMIT'} {pasteable(self.path)}",
            )
        return self._kept(inside.difference(base or inside.empty_tree()))

    def _kept(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same; and the model, whose end would be that of the quarantine."""
        yield from pieces

    @property
    def _is_cut(self) -> bool:
        return self.checkpoint.header.stands_for is not None


@dataclass(frozen=True, slots=True)
class CodeFile:
    """One file of the code. ``size`` is in bytes; a submodule has none."""

    path: str
    kind: "FileKind"
    size: int
    model: CheckpointReader
    file: "File"

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, as they lie in the commit; of a symbolic link its target."""
        if self.kind == "submodule":
            raise UsageError(f"{self.path} is a submodule, whose files were not captured.")
        yield from self.model.inside.content(self.file)

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def text(self) -> str:
        """As UTF-8; a byte that is none stands in it as \\udc80 to \\udcff."""
        return self.read().decode("utf-8", "surrogateescape")


class Files(Mapping[str, CodeFile]):
    """Paths and files. A path that ends in a slash, or ``./a``, finds nothing: paths are git's."""

    def __init__(self, model: CheckpointReader, files: "Mapping[str, File]") -> None:
        self._model = model
        self._files = files

    def __getitem__(self, path: str) -> CodeFile:
        file = self._files[path]
        return CodeFile(path, file.kind, file.size, self._model, file)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def arrays_at(remote: Remote) -> "Arrays":
    """None of them is read as yet. NoArrays, TooMuch, JellyError."""
    from jellyml.formats.registry import format_of
    from jellyml.tensors.readers import NoArrays, arrays_of

    file = BlockFile(remote)
    if file.size > _TWICE:
        kind = format_of(file.open()).name
        if kind not in _NAMED_AT_THE_BEGINNING:
            raise NoArrays(
                f"The weights at {remote} cannot be named without fetching all of it ({kind}).",
                "download it, then name the file.",
            )
    return arrays_of(cast("Path", file))
