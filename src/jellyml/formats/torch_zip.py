"""What ``torch.save`` and TorchScript write today: a zip archive with one record per tensor."""

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

name = signatures.TORCH_ZIP.name

# A dictionary is saved in its order, and a snapshot and its manifest are usually added last.
_LIKELY = 4
# It is held whole; of a larger one, only the beginning is looked into.
_LARGEST_PICKLE = 8 << 20
# Numbers that are texts in a pickle, as storages are called.
_TEXTS = re.compile(rb"(?:X.{4}|\x8c.|V)(\d+)", re.DOTALL)
# Storages that bytes may lie in, as pickles name them (torch/storage.py).
_OF_BYTES = (b"ByteStorage", b"CharStorage", b"UntypedStorage", b"uint8", b"int8")


def recognises(file: BinaryIO) -> bool:
    directory = read_directory(file)
    if not directory:
        return False
    ours = (_inside(directory, b"data.pkl"), _inside(directory, b"data/"))
    # An array called ``a/data/b`` in an .npz looks like a record, but for its ending.
    return any(name.startswith(ours) and not name.endswith(b".npy") for name in directory.names())


def records(file: BinaryIO, kind: RecordKind) -> Iterator[Record]:
    """By name, by number, by the pickle; at last all of them, which is JellyML 1.0's way."""
    directory = read_directory(file)
    if not directory:
        return
    yield from _sure(directory, _appended(directory, kind))
    data_pkl = _pickle(directory)
    pickle = data_pkl.head(file, _LARGEST_PICKLE)
    # Saying *no* is a thousand times cheaper than the walk. Two uses of the key are most likely
    # one checkpoint inside another: only the walk knows which of them is the outer one's.
    uses = pickle.count(kind.key.encode())
    if uses == 1 and not is_remote(file):
        yield from _located(directory, _last_numbered(directory))
    if uses:
        yield from _keyed(directory, machine.tensors(pickle, kind.key))
    yield from unknown.inside(file, data_pkl, kind)  # saved as bytes, not as a tensor
    if is_remote(file):  # a request for each
        return
    rest: Iterator[Entry] = reversed(directory)
    # A read of each tensor of a large file would take minutes where the file is not in memory.
    told = uses or any(kind in pickle for kind in _OF_BYTES)
    if len(pickle) == data_pkl.size > 0 and not told:
        known = set(_TEXTS.findall(pickle))
        rest = directory.without_storages(_inside(directory, b"data/"), known)
    yield from _located(directory, rest)


def may_hold_several(file: BinaryIO, kind: RecordKind) -> bool:
    """Whether a search to the end is worth it: names and uses of the key say so at once."""
    directory = read_directory(file)
    if not directory:
        return False
    uses = _pickle(directory).head(file, _LARGEST_PICKLE).count(kind.key.encode())
    return uses + sum(1 for _ in _appended(directory, kind)) > 1


def fill(file: BinaryIO, payload: Payload) -> Edit:
    """Records that the pickle does not know: a loader passes over them, strict ones too.

    They lie in ``data/``: torch refuses one outside the archive's folder, and JellyML 1.0 looks
    nowhere else.
    """
    return zip_archive.append(file, payload, _name)


def strip(file: BinaryIO, keys: Sequence[str]) -> Edit | None:
    return zip_archive.strip(file, keys, _name)


wipe = zip_archive.wipe


def _name(directory: Directory, key: str) -> bytes:
    return _inside(directory, b"data/" + key.encode())


def _inside(directory: Directory, name: bytes) -> bytes:
    """The name with the archive's prefix, which is never taken from the path: files get renamed."""
    return directory[0].name.split(b"/")[0] + b"/" + name


def _located(directory: Directory, entries: Iterable[Entry]) -> Iterator[Record]:
    return filter(None, map(directory.locate, entries))


def _sure(directory: Directory, entries: Iterable[Entry]) -> Iterator[Record]:
    """Those that are ours by their names."""
    for entry in entries:
        if record := directory.locate(entry, ahead=entry.size):
            yield record


def _appended(directory: Directory, kind: RecordKind) -> Iterator[Entry]:
    """Records added beside the pickle, the newest first; TorchScript's ``_extra_files`` too."""
    ending = b"/" + kind.key.encode()
    if ending not in directory.data:  # quicker than to read ten thousand entries
        return iter(())
    return (entry for entry in reversed(directory) if entry.name.endswith(ending))


def _last_numbered(directory: Directory) -> list[Entry]:
    numbered = directory.storages(_inside(directory, b"data/"))
    # torch 1 wrote them in the order of their names, so that 10 came before 9.
    return nlargest(_LIKELY, numbered, key=lambda entry: (len(entry.name), entry.name))


def _keyed(directory: Directory, tensors: list[machine.Tensor]) -> Iterator[Record]:
    """The bytes of these tensors in their storages, which need not have numbers for names."""
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
    """Where the pickle lies; nowhere if there is none."""
    wanted = _inside(directory, b"data.pkl")
    entry = next((entry for entry in directory if entry.name == wanted), None)
    ahead = min(entry.size, _LARGEST_PICKLE) if entry else 0
    return (entry and directory.locate(entry, ahead)) or Record(0, 0)
