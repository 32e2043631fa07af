"""One checkpoint, a file of any format or a folder: find its snapshot, prove it, hand it out."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar

from jellyml.checkpoint.apply_edit import mend
from jellyml.checkpoint.bounded_file import AGAIN, beside, is_folder, is_there, reading, told
from jellyml.checkpoint.folder_search import files_of, the_one_of
from jellyml.errors import BadSnapshot, NoSnapshot
from jellyml.formats import torch_zip, unknown
from jellyml.formats.record import CHUNK, CODE, MANIFEST, Record, RecordKind, read_at, size_of
from jellyml.formats.registry import Format, format_named, format_of
from jellyml.remote.address import Location, Remote
from jellyml.repo.bundle_header import read_header, with_one_ref
from jellyml.snapshot import serialization
from jellyml.snapshot.manifest import Manifest
from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR, Header, NewerSnapshot

# While a folder is filled anew: it counts from when the bundle that it is of is in place.
MANIFEST_COMING = f"{MANIFEST_SIDECAR}.new"

_SAVE = "torch.save({..., **jellyml.create_snapshot()}, ...)"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"

# An honest file holds a few. Headers that lie, one inside the other, could otherwise make us
# read a file as often as it holds bytes.
_MOST_CANDIDATES = 1_000
# What a glance reads at most, of a format that may carry a snapshot and of anything else.
_GLANCED, _GLANCED_UNKNOWN = 16 << 20, 256 << 10

T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoint:
    """A file or folder in which a snapshot was found, and proved to be what its header says.

    ``format`` is the name of the file's. ``passed_over`` is what was wrong with a likelier place
    than where it was found: a newer snapshot may lie there, damaged. ``part_of`` is the folder
    that was named, where a search of its files led to this one. The file is opened anew whenever
    something is read.
    """

    path: Location
    header: Header
    record: Record
    format: str
    passed_over: BadSnapshot | None = None
    part_of: Path | None = None
    held: list[bytes] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, path: Location, *, hold: int = 0) -> "Checkpoint":
        """NoSnapshot when it carries none, BadSnapshot when what it carries cannot be used.

        What an interrupted ``fill`` left in the file is put back first. A bundle of ``hold`` bytes
        at most is kept from when it is proved until it is read.
        """
        if is_folder(path, SIDECAR):
            return _open_folder(path, cls.open, serialization.prove_bundle)
        if isinstance(path, Path):
            with told(path):
                mend(path)
        held: list[bytes] = []
        prove = _holding(held, hold) if hold else serialization.prove
        with reading(path) as file:
            return replace(cls._in(path, file, format_of(file), prove), held=held)

    @classmethod
    def glance(cls, path: Location) -> "Checkpoint":
        """As ``open``, by a few reads: whether the code is whole shows when it is used.

        NotSearched where only a search of more than a large file's end could find it.
        """
        if is_folder(path, SIDECAR):
            return _open_folder(path, cls.glance, serialization.begins)
        if isinstance(path, Path):
            with told(path):
                mend(path)
        with reading(path, _GLANCED) as file:
            form = format_of(file)
            if form is unknown:
                file.left = _GLANCED_UNKNOWN
            return cls._in(path, file, form, serialization.claimed)

    @classmethod
    def _in(
        cls,
        path: Location,
        file: BinaryIO,
        form: Format,
        prove: Callable[[BinaryIO, Record], Header],
    ) -> "Checkpoint":
        wrong: list[BadSnapshot] = []
        for header, record in found(file, CODE, prove, wrong, form):
            return cls(path, header, record, form.name, next(iter(wrong), None))
        raise wrong[0] if wrong else _nothing(path, file)

    @property
    def filling_size(self) -> int:
        return self.header.offset + self.header.size

    @cached_property
    def manifest(self) -> dict[str, object] | None:
        """How the model was made, if that was recorded; BadSnapshot when it is damaged."""
        if is_folder(self.path, SIDECAR):
            with reading(beside(self.path, SIDECAR)) as file:
                return _sidecar_manifest(self.path, file, self.record)
        # JellyML 1.0 wrote no digest, and no manifest either: there is nothing to search for.
        if self.header.sha256 is None:
            return None
        with reading(self.path) as file:
            here = _manifest(file, format_named(self.format))
        return here or (_manifest_beside(self.path, self.part_of) if self.part_of else None)

    @cached_property
    def others(self) -> int:
        """How many more snapshots lie in the file, as a search to its end tells.

        A remote one is not searched, nor an archive that names one alone.
        """
        if isinstance(self.path, Remote) or is_folder(self.path, SIDECAR):
            return 0
        with reading(self.path) as file:
            if self.format == torch_zip.name and not torch_zip.may_hold_several(file, CODE):
                return 0
            return max(0, sum(1 for _ in found(file, CODE, serialization.prove, [])) - 1)

    def is_of_the_code_of(self, other: "Checkpoint") -> bool:
        """Whether both carry the same code, be it packed in different ways."""
        same = self.header.sha256 and self.header.sha256 == other.header.sha256
        return bool(same) or self._commit() == other._commit()

    def _commit(self) -> str:
        return self.header.stands_for or serialization.head_of(next(self.bundle(), b""))

    def records(self) -> tuple[bytes, bytes]:
        """The filling, and the manifest's record (empty where there is none), to be put elsewhere.

        Size and digests are those of ``bundle``. Raises BadSnapshot.
        """
        bundle = b"".join(self.bundle())
        digest = hashlib.sha256(bundle).hexdigest()
        manifest = dict(self.manifest or {})
        if manifest.get("bundle_sha256"):
            manifest["bundle_sha256"] = digest
        record = serialization.manifest_record(manifest) if manifest else b""
        return self._header_for(bundle, digest) + bundle, record

    def _header_for(self, bundle: bytes, digest: str) -> bytes:
        """The header that is there, where it is true of these bytes; else a new one."""
        header = self.header
        is_true = len(bundle) == header.size and header.sha256 in (None, digest)
        if is_true and not is_folder(self.path, SIDECAR):
            with reading(self.path) as file:
                return self.record.head(file, header.offset)
        said, _ = read_header(iter([bundle]))
        return serialization.header(
            bundle,
            commit=said.head,
            stands_for=header.stands_for,
            object_format=said.object_format,
        )

    def bundle(self) -> Iterator[bytes]:
        """The bundle as it may leave the checkpoint: with HEAD as its only ref.

        Of an honest one these are exactly its bytes. Raises BadSnapshot as ``saved_bundle``
        does, and where it does not say which commit is its HEAD.
        """
        return with_one_ref(self.saved_bundle())

    def saved_bundle(self) -> Iterator[bytes]:
        """Exactly the bytes that were saved, a stranger's refs among them: for a quarantine.

        BadSnapshot if they have changed since they were proved.
        """
        if self.held:
            whole = self.held.pop()
            yield from (whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK))
            return
        path = beside(self.path, SIDECAR) if is_folder(self.path, SIDECAR) else self.path
        with reading(path) as file:
            yield from serialization.bundle(file, self.record, self.header)


def _holding(held: list[bytes], most: int) -> Callable[[BinaryIO, Record], Header]:
    """The proof of a record, which leaves what it has read where that is not too much."""

    def prove(file: BinaryIO, record: Record) -> Header:
        header = serialization.parse_header(record.head(file, serialization.HEADER_SIZE))
        if header.sha256 is None or header.size > most:
            serialization.prove_bundle(file, record, header)
        else:
            held[:] = [b"".join(serialization.bundle(file, record, header))]
        return header

    return prove


def found(
    file: BinaryIO,
    kind: RecordKind,
    prove: Callable[[BinaryIO, Record], T],
    wrong: list[BadSnapshot],
    form: Format | None = None,
) -> Iterator[tuple[T, Record]]:
    """What proves itself, the likeliest place first; the first that does not goes to ``wrong``.

    ``form`` is the file's format where that is known.
    """
    places = (form or format_of(file)).records(file, kind)
    seen: set[int] = set()
    for record in places:
        if record.offset in seen or record.head(file, len(kind.magic)) != kind.magic:
            continue
        if len(seen) == _MOST_CANDIDATES:
            return
        seen.add(record.offset)
        try:
            proved = prove(file, record)
        except NewerSnapshot:
            raise
        except BadSnapshot as problem:
            if not wrong:
                wrong.append(problem.with_traceback(None))
        else:
            yield proved, record


def _open_folder(
    path: Location,
    look: Callable[[Path], Checkpoint],
    prove: Callable[[BinaryIO, Record, Header], object],
) -> Checkpoint:
    """A folder carries a bare bundle, so that ``git clone`` works on it, and plain JSON.

    One that does not may have files that carry a snapshot; at an address it is not searched.
    """
    bundle = beside(path, SIDECAR)
    with told(bundle):
        if isinstance(path, Path) and not is_there(bundle):
            one = the_one_of(path, SIDECAR, look, Checkpoint.is_of_the_code_of)
            return replace(one, part_of=path)
    with reading(bundle) as file:
        record = Record(0, size_of(file))
        manifest = _sidecar_manifest(path, file, record) or {}
        header = serialization.bare_header(record.size, manifest)
        prove(file, record, header)
    return Checkpoint(path, header, record, "folder")


def _sidecar_manifest(
    folder: Location, bundle: BinaryIO, record: Record
) -> dict[str, object] | None:
    """The manifest beside the bundle, or one that waits to take its place if it is the bundle's."""
    if isinstance(folder, Path):
        coming = _json(folder / MANIFEST_COMING)
        if coming and serialization.is_of(coming, record.chunks(bundle)):
            return coming
    return _json(beside(folder, MANIFEST_SIDECAR))


def _json(path: Location) -> dict[str, object] | None:
    with told(path):
        if not is_there(path):
            return None
    with reading(path) as file:
        return serialization.parse_json(read_at(file, 0, serialization.LARGEST_MANIFEST + 1))


def _manifest(file: BinaryIO, form: Format | None = None) -> dict[str, object] | None:
    wrong: list[BadSnapshot] = []
    for manifest, _ in found(file, MANIFEST, serialization.read_manifest, wrong, form):
        return manifest
    if wrong:
        raise wrong[0]
    return None


def _manifest_beside(path: Location, folder: Path) -> dict[str, object] | None:
    """Shards are made by size: the manifest may lie in another file than the code."""
    for part in files_of(folder, SIDECAR):
        if part != path and not is_folder(part, SIDECAR):
            with reading(part) as file:
                if manifest := _manifest(file):
                    return manifest
    return None


def _nothing(path: Location, file: BinaryIO) -> NoSnapshot:
    """Why there is none, as far as the file tells."""
    start = read_at(file, 0, len(_LFS_POINTER))
    if not start:
        return NoSnapshot(f"{path} is empty.", AGAIN)
    if start == _LFS_POINTER:
        return NoSnapshot(
            f"{path} is a Git LFS pointer, not the checkpoint itself.", "git lfs pull"
        )
    # Looked for only where that is cheap: elsewhere the whole file would be read once more.
    manifest = _manifest(file) if torch_zip.recognises(file) else None
    if error := Manifest(manifest).error:
        # The repr of a stranger's text shows no control character as it is.
        return NoSnapshot(
            f"{path} carries no code: capturing it failed when it was saved ({error[:200]!r}).",
            f"mend that, then save it again: {_SAVE}",
        )
    return NoSnapshot(f"{path} carries no JellyML snapshot.", f"put one in when saving: {_SAVE}")
