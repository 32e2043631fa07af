"""The arrays of a checkpoint by name, from a file or a folder of shards, without reading them."""

import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from jellyml.budget import Budget, Kept, kept
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
from jellyml.formats.containers import json
from jellyml.formats.containers.pickle.objects import TooMuch
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
_LARGEST_INDEX = 64 << 20
_MOST_SHARDS = 10_000
_MOST_IN_FOLDER = 1_000_000
# Views may repeat the same bytes: the arrays may not be much larger than the file.
_FREELY = 4 << 30
_MOST_TIMES = 16
# Bytes that an array and each of its axes take at most, as an entry of ``Arrays``.
_ARRAY, _AXIS = 440, 40


class NoArrays(JellyError):
    """The file cannot be read, or its format is unknown or not supported for arrays."""


class Arrays(Mapping[str, LazyArray]):
    """Name -> array of a checkpoint, in the order of the file.

    An array with several names, such as tied weights, comes under each. The budget is charged
    for as long as this object exists.
    """

    def __init__(self, arrays: Iterable[LazyArray], budget: Budget) -> None:
        self._arrays: dict[str, LazyArray] = {}
        self._last_number: dict[str, int] = {}
        entries = Kept(budget)
        weakref.finalize(self, entries.drop)
        for array in arrays:
            if KEY in array.name or MANIFEST_KEY in array.name:
                continue
            entries.add(_ARRAY + _AXIS * len(array.shape) + len(array.name))
            name = self._free(array.name)
            self._arrays[name] = array if name == array.name else replace(array, name=name)

    def __getitem__(self, name: str) -> LazyArray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"<{len(self)} arrays>"

    def _free(self, name: str) -> str:
        """Return a name that is not taken: the second ``a.b`` becomes ``a.b (2)``.

        ``a.b`` may be one key with a point, or the key ``b`` below ``a``.
        """
        free = name
        while free in self._arrays:
            # No number is tried twice, so that many arrays of one name take linear time.
            number = self._last_number[name] = self._last_number.get(name, 1) + 1
            free = f"{name} ({number})"
        return free


def arrays_of(path: Path | ByteSource, budget: Budget | None = None) -> Arrays:
    """Return the arrays of a file or folder. Nothing is unpickled, and no array is read.

    ``budget`` is that of a local file; a ``ByteSource`` has its own. Raise NoArrays if it cannot
    be read or has no arrays, TooMuch if it is damaged, Exhausted.
    """
    if isinstance(path, Path):
        budget = budget or Budget.of_library()
        arrays = _folder(path, budget) if path.is_dir() else _file(LocalFile(path, budget))
    else:
        budget, arrays = path.budget, _file(path)
    with budget.part(f"the search for arrays in {path}"):
        return Arrays(_within(arrays, path, budget), budget)


def _file(source: ByteSource) -> Iterator[LazyArray]:
    try:
        with source.open() as file:
            source.budget.opened(source.size)
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
    unsupported = f"({kind}) is supported only by its own library"
    reason = "is not known" if kind == unknown.name else unsupported
    return NoArrays(
        f"The arrays of {source} cannot be read: its format {reason}.",
        "save the weights as .safetensors, .npz or with torch.save as well, then name that file.",
    )


def _folder(folder: Path, budget: Budget) -> Iterator[LazyArray]:
    shards = _shards(folder, budget)
    if not shards:
        raise NoArrays(
            f"The folder {folder} has no weights in a format that JellyML reads.",
            "name a file in it.",
        )
    several = len(shards) > 1
    for shard in shards:
        for array in _file(LocalFile(shard, budget)):
            # An array without a name, as in .npy, gets the name of the file.
            yield array if array.name or not several else replace(array, name=shard.name)


def _shards(folder: Path, budget: Budget) -> list[Path]:
    """Return the files in an index, else those with a suffix of weights, sorted by name."""
    for index in sorted(each for each in folder.glob(f"*{INDEX_SUFFIX}") if each.is_file()):
        if names := _indexed(LocalFile(index, budget)):
            return [folder / name for name in names]
    for suffix in signatures.suffixes(Use.SHARD):
        if files := sorted(each for each in folder.glob(f"*{suffix}") if each.is_file()):
            return files[:_MOST_SHARDS]
    return []


def _indexed(index: LocalFile) -> list[str]:
    """Return the names of the shards in an index.

    Raise TooMuch if it is damaged or too large, or names a path outside the folder.
    """
    names = sorted(_values(index))
    for name in names:
        # A file name cannot contain a lone surrogate or NUL.
        odd = any(each in name for each in "\\:\0") or re.search("[\ud800-\udfff]", name)
        if Path(name).name != name or name in ("", ".", "..") or odd:
            raise TooMuch(f"{index} names a file outside its folder.")
    return names[:_MOST_SHARDS]


def _values(index: LocalFile) -> set[str]:
    """Return the values of the index's map of names to shards. Raise TooMuch, Exhausted."""
    if index.size > _LARGEST_INDEX:
        raise TooMuch(f"{index} is too large for an index.")
    with index.open() as file, kept(index.budget) as objects:
        objects.add(index.size)
        try:
            content = json.loads(read_at(file, 0, _LARGEST_INDEX), objects)
        except (ValueError, RecursionError):
            raise TooMuch(f"{index} is damaged.") from None
        named = content.get("weight_map") if isinstance(content, dict) else None
        return {str(name) for name in named.values()} if isinstance(named, dict) else set()


def _within(
    arrays: Iterator[LazyArray], path: Path | ByteSource, budget: Budget
) -> Iterator[LazyArray]:
    """Yield the arrays. Raise TooMuch if they are too many, or far larger than the files."""
    files: dict[ByteSource, int] = {}
    total = 0
    for count, array in enumerate(arrays):
        budget.step()
        if count == _MOST_IN_FOLDER:
            raise TooMuch(f"{path} names more than {_MOST_IN_FOLDER:,} arrays.")
        if array.stretch:
            source = array.stretch.source
            if source not in files:
                files[source] = source.size
            unfolding = 1 if array.stretch.packed is None else 64
            total += array.nbytes // unfolding
            if total > _FREELY + _MOST_TIMES * sum(files.values()):
                raise TooMuch(f"The arrays of {path} would take far more than the file.")
        yield array
