"""What ``jellyml.open`` returns: a checkpoint whose parts are read on demand. No code is run."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from jellyml.errors import BadSnapshot, JellyError, NoSnapshot, UsageError, pasteable
from jellyml.remote.address import Location, Remote, parse_location
from jellyml.remote.file import ARRAYS, RemoteFile

if TYPE_CHECKING:
    from os import PathLike

    from jellyml.budget import Budget
    from jellyml.checkpoint.bounded_file import Sources
    from jellyml.checkpoint.checkpoint import Checkpoint
    from jellyml.quarantine.quarantine import Quarantine, VerifiedCode
    from jellyml.quarantine.reader import File, FileKind, Inside
    from jellyml.tensors.readers import Arrays

MAX_UNPACKED = 4 << 30

# The directory of an archive does not say where its arrays begin. To find them, nearly all of a
# remote archive is fetched, and to read them it is fetched again.
_TWICE: Final = 64 << 20
_NAMED_AT_THE_BEGINNING = ("safetensors", "gguf", "npy")


@contextmanager
def unpacking(checkpoint: "Checkpoint", max_unpacked: int = MAX_UNPACKED) -> "Iterator[Quarantine]":
    """Unpack the checkpoint's bundle into quarantine, while the caller continues.

    Raises BadSnapshot if the bundle does not agree with its header.
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
    """Yield the checkpoint's code in quarantine, verified. Raises BadSnapshot, GitError."""
    with unpacking(checkpoint, max_unpacked) as quarantine:
        yield quarantine.incoming


def open(path: "str | PathLike[str]", *, max_unpacked: int = MAX_UNPACKED) -> "CheckpointReader":
    """Open a checkpoint for reading: a file, a folder or an address (``s3://...``).

    ``max_unpacked`` is how many bytes its code may unpack to. Raises NoSnapshot if there is no
    such file, JellyError if it cannot be read. Other errors are raised when a part is read.
    """
    from jellyml.checkpoint.bounded_file import explain_errors

    location = parse_location(path)
    if isinstance(location, Path):
        with explain_errors(location):
            location.stat()
    return CheckpointReader(location, max_unpacked)


class CheckpointReader:
    """One checkpoint. Its code is unpacked once, into a temporary folder.

    ``close``, or the end of a ``with`` block, removes that folder. ``sources`` has the files that
    the caller has opened already, and its budget.
    """

    def __init__(
        self,
        path: Location,
        max_unpacked: int = MAX_UNPACKED,
        sources: "Sources | None" = None,
    ) -> None:
        from jellyml.checkpoint.bounded_file import Sources

        self.path = path
        self._max_unpacked = max_unpacked
        self._sources = sources or Sources()
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
        """Remove the unpacked code. It is unpacked again when it is needed."""
        self._stack.close()
        self.__dict__.pop("inside", None)
        self.__dict__.pop("files", None)

    @property
    def budget(self) -> "Budget":
        return self._sources.budget

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """Find the snapshot. Raises NoSnapshot, BadSnapshot."""
        from jellyml.checkpoint.checkpoint import Checkpoint

        return Checkpoint.open(self.path, sources=self._sources)

    @property
    def commit(self) -> str | None:
        """Return the commit of the code, None without code. Raises BadSnapshot."""
        try:
            header = self.checkpoint.header
        except NoSnapshot:
            return None
        return header.stands_for or header.commit or self.inside.incoming.commit

    @property
    def manifest(self) -> dict[str, object] | None:
        """Return the record of how the model was made, None without one. Raises BadSnapshot."""
        try:
            return self.checkpoint.manifest
        except NoSnapshot:
            return None

    @cached_property
    def inside(self) -> "Inside":
        """Unpack the code into quarantine. Raises NoSnapshot, BadSnapshot, GitError."""
        from jellyml.quarantine.reader import Inside

        return Inside(self._stack.enter_context(unpacked(self.checkpoint, self._max_unpacked)))

    @cached_property
    def files(self) -> "Files":
        """Return the files of the code by their paths. Each is read on demand."""
        return Files(self, {file.path: file for file in self.inside.files()})

    @cached_property
    def arrays(self) -> "Arrays":
        """Return the arrays by name, none of them read. Raises NoArrays, TooMuch."""
        if not isinstance(self.path, Path):
            return arrays_at(self.path, self.budget)
        from jellyml.tensors.readers import arrays_of

        return arrays_of(self.path, self.budget)

    def patch(self) -> Iterator[bytes]:
        """Yield the changes since the last commit, as ``git diff`` prints them.

        It yields nothing without changes. Raises JellyError if the history was cut, so that the
        checkpoint does not contain that commit.
        """
        inside = self.inside
        base = inside.base()
        if base is None and self._is_cut:
            from jellyml.snapshot.manifest import Manifest

            base = Manifest(self.manifest).base
            raise JellyError(
                "The commit that this code is based on is not in the checkpoint: its history"
                " was cut.",
                f"in its repository: jellyml diff {base or 'COMMIT'} {pasteable(self.path)}",
            )
        return self._keep_open(inside.difference(base or inside.empty_tree()))

    def _keep_open(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the same, and keep this object alive: the quarantine is removed with it."""
        yield from chunks

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
        """Yield its bytes as committed; the target of a symbolic link. Raises UsageError."""
        if self.kind == "submodule":
            raise UsageError(f"{self.path} is a submodule, whose files were not captured.")
        yield from self.model.inside.content(self.file)

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def text(self) -> str:
        """Decode it as UTF-8. An invalid byte becomes one of \\udc80 to \\udcff."""
        return self.read().decode("utf-8", "surrogateescape")


class Files(Mapping[str, CodeFile]):
    """The files of the code by path. Paths are those of git: ``a``, not ``./a`` or ``a/``."""

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


def arrays_at(remote: Remote, budget: "Budget") -> "Arrays":
    """Return the arrays of a remote file, not read yet. Raises NoArrays, TooMuch, JellyError."""
    from jellyml.formats.registry import format_of
    from jellyml.tensors.readers import NoArrays, arrays_of

    source = RemoteFile(remote, ARRAYS, budget)
    if source.size > _TWICE:
        kind = format_of(source.open()).name
        if kind not in _NAMED_AT_THE_BEGINNING:
            raise NoArrays(
                f"The weights at {remote} cannot be named without fetching all of it ({kind}).",
                "download it, then name the file.",
            )
    return arrays_of(source, budget)
