"""The arrays in files of torch: zip archives, and the format before 1.6."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import BinaryIO

from jellyml.budget import kept
from jellyml.formats.containers.pickle import builder
from jellyml.formats.containers.pickle.machine import Program
from jellyml.formats.containers.pickle.objects import Storage, Tensor, TooMuch, tensors
from jellyml.formats.containers.pickle.window import Window
from jellyml.formats.containers.zip import Directory, read_directory
from jellyml.formats.record import Record, read_at, size_of
from jellyml.formats.source import ByteSource
from jellyml.tensors import strides
from jellyml.tensors.byte_range import ByteRange
from jellyml.tensors.dtypes import DTYPES, DType, of_storage
from jellyml.tensors.lazy_array import NOT_THERE, LazyArray

# Bytes. A smaller pickle is read whole, which is faster; a larger one in blocks.
_HELD = 4 << 20
_MOST_INFLATED = 16 << 20
_LEGACY_PICKLES = 3  # that precede the object's: the magic number, the version, the system
# The largest ratio of deflate.
_MOST_UNFOLDING = 1032

Find = Callable[[Storage], ByteRange | None]


def of_zip(file: BinaryIO, source: ByteSource) -> Iterator[LazyArray]:
    """Yield the arrays of a zip archive. Raise TooMuch if the pickle is damaged."""
    directory = read_directory(file)
    if not directory:
        raise TooMuch(f"{source} is a damaged archive.")
    entries = _Entries(file, source, directory)
    names = ["data.pkl"] if "data.pkl" in entries else []
    with kept(source.budget) as objects:
        root, _ = builder.read(entries.program(names[0]), objects) if names else (None, 0)
        for name, tensor in tensors(root):
            yield _array(name, tensor, entries.storage)


def of_legacy(file: BinaryIO, source: ByteSource) -> Iterator[LazyArray]:
    """Yield the arrays of a file before torch 1.6. Raise TooMuch if a pickle is damaged."""
    at = 0
    program = Window(file)
    with kept(source.budget) as objects:
        for _ in range(_LEGACY_PICKLES):
            _, at = builder.read(program, objects, at)
        root, at = builder.read(program, objects, at)
        claimed = {}
        for _, each in tensors(root):
            storage = each.storage if isinstance(each, Tensor) else each
            claimed[storage.key] = storage
        places = _legacy_places(file, source, claimed, *builder.texts(program, objects, at))
        for name, each in tensors(root):
            yield _array(name, each, lambda storage: places.get(storage.key))


def _legacy_places(
    file: BinaryIO, source: ByteSource, claimed: dict[str, Storage], keys: list[str], at: int
) -> dict[str, ByteRange]:
    """Return key -> bytes of each storage. 8 bytes with its number of elements precede it."""
    places: dict[str, ByteRange] = {}
    length = size_of(file)
    for key in keys:
        kind = of_storage(claimed[key].kind) if key in claimed else None
        count = int.from_bytes(read_at(file, at, 8), "little", signed=True)
        if kind is None or not 0 <= kind.bytes_of(count) <= length - at - 8:
            break  # the start of the next one is unknown
        places[key] = ByteRange(source, at + 8, kind.bytes_of(count))
        at += 8 + kind.bytes_of(count)
    return places


class _Entries:
    """The records of one archive, by their names below its folder."""

    def __init__(self, file: BinaryIO, source: ByteSource, directory: Directory) -> None:
        self._file = file
        self._source = source
        self._directory = directory
        prefix = directory[0].name.split(b"/")[0] + b"/"
        self._indexes = directory.below(prefix)
        order = self._record("byteorder")
        self._big = order is not None and order.head(file, 6) == b"big"

    def __contains__(self, name: str) -> bool:
        return name.encode() in self._indexes

    def program(self, name: str) -> Program:
        """Return the pickle of this name. Raise TooMuch if it is damaged."""
        record = self._record(name)
        if record is None:
            raise TooMuch(f"The record {name} of {self._source} is damaged.")
        if record.encoded or record.size <= _HELD:
            return record.head(self._file, _MOST_INFLATED)
        return Window(self._file, record.offset, record.size)

    def storage(self, storage: Storage) -> ByteRange | None:
        record = self._record(f"data/{storage.key}")
        kind = of_storage(storage.kind)
        if record is None or kind is None:
            return None
        swap = kind.swap if self._big else 1
        if not record.encoded:
            return ByteRange(self._source, record.offset, record.size, swap=swap)
        size = min(kind.bytes_of(storage.count), record.size * _MOST_UNFOLDING)
        return ByteRange(self._source, record.offset, size, packed=record.size, swap=swap)

    def _record(self, name: str) -> Record | None:
        index = self._indexes.get(name.encode())
        return None if index is None else self._directory.locate(self._directory[index])


def _array(name: str, tensor: Tensor | Storage, find: Find) -> LazyArray:
    if isinstance(tensor, Storage):
        kind = of_storage(tensor.kind)
        count = 0 if kind is None or tensor.count < 0 else tensor.count
        tensor = Tensor(tensor, 0, (count,), (1,))
    storage = tensor.storage
    kind = DTYPES.get(tensor.dtype) if tensor.dtype else of_storage(storage.kind)
    if kind is None:
        unknown = DType(tensor.dtype or storage.kind, 1)
        return LazyArray(name, tensor.shape, unknown, None, flaw="its type is not known")
    if tensor.meaning:
        kind = replace(kind, meaning=tensor.meaning)
    place = find(storage)
    part = place and _part(place, tensor, kind)
    flaw = "" if part else NOT_THERE
    plain = strides.is_contiguous(tensor.shape, tensor.strides)
    return LazyArray(name, tensor.shape, kind, part, None if plain else tensor.strides, flaw)


def _part(place: ByteRange, tensor: Tensor, kind: DType) -> ByteRange | None:
    """Return the bytes of the storage that the tensor views; None if the storage is too small."""
    start = kind.bytes_of(tensor.offset)
    size = kind.bytes_of(strides.extent(tensor.shape, tensor.strides))
    if start + size > place.size:
        return None
    swap = kind.swap if place.swap > 1 else 1
    if place.packed is None:
        return ByteRange(place.source, place.offset + start, size, swap=swap)
    return ByteRange(place.source, place.offset, size, place.packed, start, swap)
