"""The current format of ``torch.save`` and TorchScript: a zip archive with a record per tensor."""

import re
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from typing import BinaryIO

from jellyml.formats import signatures, unknown
from jellyml.formats.containers import zip as zip_archive
from jellyml.formats.containers.pickle import machine
from jellyml.formats.containers.zip import Directory, Entry, read_directory
from jellyml.formats.edit import Edit, Payload
from jellyml.formats.record import Record, RecordKind, is_remote
from jellyml.formats.source import budget_of

name = signatures.TORCH_ZIP.name

# Storages to try first: a snapshot and its manifest are usually the last keys of a dictionary.
_LIKELY = 4
# Bytes. Only the beginning of a larger pickle is searched.
_LARGEST_PICKLE = 8 << 20
# Numbers as strings in a pickle: the names of storages.
_TEXTS = re.compile(rb"(?:X.{4}|\x8c.|V)(\d+)", re.DOTALL)
# Names of byte storages in pickles (torch/storage.py).
_OF_BYTES = (b"ByteStorage", b"CharStorage", b"UntypedStorage", b"uint8", b"int8")


def recognises(file: BinaryIO) -> bool:
    directory = read_directory(file)
    if not directory:
        return False
    prefixes = (_inside(directory, b"data.pkl"), _inside(directory, b"data/"))
    # An array called ``a/data/b`` in an .npz looks like a record, except for its ending.
    return any(
        name.startswith(prefixes) and not name.endswith(b".npy") for name in directory.names()
    )


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """Yield records by name, by number, by the pickle, and last all, as JellyML 1.0 did."""
    directory = read_directory(file)
    if not directory:
        return
    yield from _named(directory, _appended(directory, kind))
    data_pkl = _pickle(directory)
    pickle = data_pkl.head(file, _LARGEST_PICKLE)
    # Counting is a thousand times faster than the walk. Two uses of the key are most likely one
    # checkpoint inside another: only the walk can tell the outer one.
    uses = pickle.count(kind.key.encode())
    if uses == 1 and not is_remote(file):
        yield from _located(directory, _last_numbered(directory))
    if uses:
        yield from _keyed(directory, machine.tensors(pickle, kind.key, budget_of(file)))
    yield from unknown.inside(file, data_pkl, kind)  # saved as bytes, not as a tensor
    if is_remote(file):  # a request for each
        return
    rest: Iterator[Entry] = reversed(directory)
    # Reading each tensor of a large file takes minutes if the file is not in memory.
    may_hold_bytes = uses or any(kind in pickle for kind in _OF_BYTES)
    if len(pickle) == data_pkl.size > 0 and not may_hold_bytes:
        known = set(_TEXTS.findall(pickle))
        rest = directory.without_storages(_inside(directory, b"data/"), known)
    yield from _located(directory, rest)


def may_hold_several(file: BinaryIO, kind: RecordKind) -> bool:
    """Return True if the file may have several records, by names and uses of the key."""
    directory = read_directory(file)
    if not directory:
        return False
    uses = _pickle(directory).head(file, _LARGEST_PICKLE).count(kind.key.encode())
    return uses + sum(1 for _ in _appended(directory, kind)) > 1


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Add records that the pickle does not mention: every loader ignores them.

    They are in ``data/``: torch refuses records outside the archive's folder, and JellyML 1.0
    searches only there.
    """
    return zip_archive.append(file, payload, _name)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    return zip_archive.strip(file, keys, _name)


wipe = zip_archive.wipe


def _name(directory: Directory, key: str) -> bytes:
    return _inside(directory, b"data/" + key.encode())


def _inside(directory: Directory, name: bytes) -> bytes:
    """Return the name with the archive's prefix; not from the path, since files are renamed."""
    return directory[0].name.split(b"/")[0] + b"/" + name


def _located(directory: Directory, entries: Iterable[Entry]) -> Iterator[Record]:
    return filter(None, map(directory.locate, entries))


def _named(directory: Directory, entries: Iterable[Entry]) -> Iterator[Record]:
    """Yield the records of entries with JellyML's names."""
    for entry in entries:
        if record := directory.locate(entry, ahead=entry.size):
            yield record


def _appended(directory: Directory, kind: RecordKind) -> Iterator[Entry]:
    """Return entries with this name, the newest first, also in TorchScript's ``_extra_files``."""
    ending = b"/" + kind.key.encode()
    if ending not in directory.data:  # faster than parsing ten thousand entries
        return iter(())
    return (entry for entry in reversed(directory) if entry.name.endswith(ending))


def _last_numbered(directory: Directory) -> list[Entry]:
    numbered = directory.storages(_inside(directory, b"data/"))
    # torch 1 sorted them by name, so that 10 came before 9.
    return nlargest(_LIKELY, numbered, key=lambda entry: (len(entry.name), entry.name))


def _keyed(directory: Directory, tensors: list[machine.Tensor]) -> Iterator[Record]:
    """Yield the bytes of these tensors in their storages, whose names need not be numbers."""
    wanted = {tensor.storage.encode() for tensor in tensors}
    indexes = directory.below(_inside(directory, b"data/"), wanted)
    for tensor in tensors:
        index = indexes.get(tensor.storage.encode())
        if index is None:
            continue
        entry = directory[index]
        storage = directory.locate(entry, ahead=entry.size)
        if storage and (part := storage.part(tensor.offset, tensor.size)):
            yield part


def _pickle(directory: Directory) -> Record:
    """Return the record of the pickle; an empty one if there is none."""
    wanted = _inside(directory, b"data.pkl")
    entry = next((entry for entry in directory if entry.name == wanted), None)
    ahead = min(entry.size, _LARGEST_PICKLE) if entry else 0
    return (entry and directory.locate(entry, ahead)) or Record(0, 0)
