"""A checkpoint, a file or a folder of shards, as its arrays by name; none of them is read."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from jellyml.errors import JellyError
from jellyml.formats import (
    gguf,
    npy,
    npz,
    safetensors,
    signatures,
    torch_legacy,
    torch_zip,
    unknown,
)
from jellyml.formats.containers.pickle.objects import MOST_ARRAYS, TooMuch
from jellyml.formats.record import KEY, MANIFEST_KEY, read_at
from jellyml.formats.registry import format_of
from jellyml.formats.signatures import INDEX_SUFFIX, Use
from jellyml.formats.source import ByteSource, LocalFile, NotAFile
from jellyml.tensors import numpy, torch
from jellyml.tensors import safetensors as tensors_safetensors
from jellyml.tensors.gguf import of_file
from jellyml.tensors.lazy_array import LazyArray

_READERS: Mapping[str, Callable[[BinaryIO, ByteSource], Iterator[LazyArray]]] = {
    torch_zip.name: torch.of_zip,
    torch_legacy.name: torch.of_legacy,
    safetensors.name: tensors_safetensors.of_file,
    gguf.name: of_file,
    npz.name: numpy.of_npz,
    npy.name: numpy.of_npy,
}
_LARGEST_INDEX = 12 << 20
_MOST_SHARDS = 10_000
# Views may name the same bytes again and again: a file is not to give much more than it holds.
_FREELY = 4 << 30
_MOST_TIMES = 16


class NoArrays(JellyError):
    """A file in which no arrays are found, for its format is not known or is not one of arrays."""


class Arrays(Mapping[str, LazyArray]):
    """The arrays of a checkpoint by their names, in its order.

    What lies under several names, as tied weights do, comes under each.
    """

    def __init__(self, found: Iterable[LazyArray]) -> None:
        self._found: dict[str, LazyArray] = {}
        for array in found:
            if KEY in array.name or MANIFEST_KEY in array.name:
                continue
            name = self._free(array.name)
            self._found[name] = array if name == array.name else replace(array, name=name)

    def __getitem__(self, name: str) -> LazyArray:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<{len(self)} arrays>"

    def _free(self, name: str) -> str:
        """``a.b`` may be a key with a point in it, and a key in another: the second is numbered."""
        if name not in self._found:
            return name
        return next(
            new
            for new in (f"{name} ({number})" for number in range(2, MOST_ARRAYS + 2))
            if new not in self._found
        )


def arrays_of(path: Path | ByteSource) -> Arrays:
    """The arrays of a file or folder; NoArrays where it is of another kind, TooMuch where it lies.

    Nothing is unpickled, and no array is read.
    """
    if isinstance(path, Path) and path.is_dir():
        return Arrays(_within(_folder(path), path))
    source = LocalFile(path) if isinstance(path, Path) else path
    return Arrays(_within(_file(source), source))


def _file(source: ByteSource) -> Iterator[LazyArray]:
    try:
        with source.open() as file:
            kind = format_of(file).name
            if kind not in _READERS:
                raise _of_another_kind(source, kind)
            yield from _READERS[kind](file, source)
    except NotAFile:
        raise NoArrays(
            f"{source} is not a file.", "name the checkpoint's file or folder."
        ) from None
    except OSError as problem:
        raise NoArrays(
            f"{source} could not be read: {problem.strerror}.",
            "check its permissions and its disk.",
        ) from None


def _of_another_kind(source: ByteSource, kind: str) -> NoArrays:
    told = "is not known" if kind == unknown.name else f"({kind}) is read by its own library alone"
    return NoArrays(
        f"The arrays of {source} cannot be found: its format {told}.",
        "save the weights as .safetensors, .npz or with torch.save as well, then name that file.",
    )


def _folder(folder: Path) -> Iterator[LazyArray]:
    shards = _shards(folder)
    if not shards:
        raise NoArrays(
            f"The folder {folder} holds no weights in a format that is read.", "name a file in it."
        )
    several = len(shards) > 1
    for shard in shards:
        for array in _file(LocalFile(shard)):
            # What no shard names, as one array alone, goes by the file's name.
            yield array if array.name or not several else replace(array, name=shard.name)


def _shards(folder: Path) -> list[Path]:
    """The files that an index names, or those that look like weights, in the order of names."""
    for index in sorted(each for each in folder.glob(f"*{INDEX_SUFFIX}") if each.is_file()):
        if names := _indexed(index):
            return [folder / name for name in names]
    for suffix in signatures.suffixes(Use.SHARD):
        if found := sorted(each for each in folder.glob(f"*{suffix}") if each.is_file()):
            return found[:_MOST_SHARDS]
    return []


def _indexed(index: Path) -> list[str]:
    """The shards of an index; a name that leads out of the folder is refused."""
    with index.open("rb") as file:
        text = read_at(file, 0, _LARGEST_INDEX + 1)
    if len(text) > _LARGEST_INDEX:
        raise TooMuch(f"{index} is larger than an index should be.")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise TooMuch(f"{index} is damaged.") from None
    named = said.get("weight_map") if isinstance(said, dict) else None
    if not isinstance(named, dict):
        return []
    names = sorted({str(name) for name in named.values()})
    for name in names:
        # Half a character and NUL are no part of any file's name.
        odd = any(each in name for each in "\\:\0") or re.search("[\ud800-\udfff]", name)
        if Path(name).name != name or name in ("", ".", "..") or odd:
            raise TooMuch(f"{index} names a file outside of its folder.")
    return names[:_MOST_SHARDS]


def _within(found: Iterator[LazyArray], path: Path | ByteSource) -> Iterator[LazyArray]:
    """The same; raises TooMuch where they would give far more bytes than there are."""
    files: dict[ByteSource, int] = {}
    total = 0
    for count, array in enumerate(found):
        if count == MOST_ARRAYS:
            raise TooMuch(f"{path} names more than {MOST_ARRAYS:,} arrays.")
        if array.stretch:
            source = array.stretch.source
            if source not in files:
                files[source] = source.size
            unfolding = 1 if array.stretch.packed is None else 64
            total += array.nbytes // unfolding
            if total > _FREELY + _MOST_TIMES * sum(files.values()):
                raise TooMuch(f"The arrays of {path} would take far more than the file.")
        yield array
