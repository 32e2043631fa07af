"""Find the snapshot of a checkpoint, a file or a folder, and verify it."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar

from jellyml.checkpoint.apply_edit import mend
from jellyml.checkpoint.bounded_file import AGAIN, Sources, explain_errors
from jellyml.checkpoint.folder_search import candidate_files, find_in_folder
from jellyml.errors import BadSnapshot, NoSnapshot
from jellyml.formats import torch_zip, unknown
from jellyml.formats.record import CHUNK, CODE, MANIFEST, Record, RecordKind, read_at, size_of
from jellyml.formats.registry import Format, format_named, format_of
from jellyml.remote.address import Location, Remote
from jellyml.repo.bundle_header import read_header, with_one_ref
from jellyml.snapshot import serialization
from jellyml.snapshot.manifest import Manifest
from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR, Header, NewerSnapshot

# The new manifest while a folder is filled. It counts once the bundle with its digest is in place.
MANIFEST_COMING = f"{MANIFEST_SIDECAR}.new"

_SAVE = "torch.save({..., **jellyml.create_snapshot()}, ...)"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"

# A valid file holds a few. Without a limit, nested false headers would make us read a file as often
# as it has bytes.
_MOST_CANDIDATES = 1_000
# Bytes that a glance reads at most, of a known format and of any other file.
_GLANCED, _GLANCED_UNKNOWN = 16 << 20, 256 << 10
_FOLDER = "folder"  # as ``Checkpoint.format``

T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoint:
    """A file or folder with a snapshot that agrees with its header.

    ``format`` is the name of the file's format. ``damaged`` is the error of a record that was
    skipped, which may be a newer snapshot. ``part_of`` is the folder whose search found this file.
    Each read opens the file again; ``sources`` caches what is fetched of a remote one.
    """

    path: Location
    header: Header
    record: Record
    format: str
    damaged: BadSnapshot | None = None
    part_of: Path | None = None
    sources: Sources = field(default_factory=Sources, repr=False, compare=False)
    cached_bundle: list[bytes] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(
        cls, path: Location, *, cache_size: int = 0, sources: Sources | None = None
    ) -> "Checkpoint":
        """Find the snapshot and verify it. An interrupted ``fill`` of the file is undone first.

        A bundle of up to ``cache_size`` bytes is cached until it is read. Raises NoSnapshot,
        BadSnapshot.
        """
        sources = sources or Sources()
        if sources.is_folder(path, SIDECAR):
            return _open_folder(path, sources, cls.open, serialization.prove_bundle)
        _mend(path)
        bundle: list[bytes] = []
        prove = _caching(bundle, cache_size) if cache_size else serialization.prove
        with sources.reading(path) as file:
            checkpoint = cls._find(path, file, format_of(file), prove)
        return replace(checkpoint, sources=sources, cached_bundle=bundle)

    @classmethod
    def glance(cls, path: Location, sources: Sources | None = None) -> "Checkpoint":
        """Find the snapshot by a few reads. The code is verified only when it is read.

        Raises NoSnapshot, BadSnapshot; NotSearched for a large file without a known structure.
        """
        sources = sources or Sources()
        if sources.is_folder(path, SIDECAR):
            return _open_folder(path, sources, cls.glance, serialization.begins)
        _mend(path)
        with sources.reading(path, _GLANCED) as file:
            form = format_of(file)
            if form is unknown:
                file.left = _GLANCED_UNKNOWN
            checkpoint = cls._find(path, file, form, serialization.claimed)
        return replace(checkpoint, sources=sources)

    @classmethod
    def _find(
        cls,
        path: Location,
        file: BinaryIO,
        form: Format,
        prove: Callable[[BinaryIO, Record], Header],
    ) -> "Checkpoint":
        errors: list[BadSnapshot] = []
        for header, record in find_records(file, CODE, prove, errors, form):
            return cls(path, header, record, form.name, next(iter(errors), None))
        raise errors[0] if errors else _no_snapshot(path, file)

    @property
    def is_folder(self) -> bool:
        return self.format == _FOLDER

    @property
    def filling_size(self) -> int:
        return self.header.offset + self.header.size

    @cached_property
    def manifest(self) -> dict[str, object] | None:
        """Return the record of how the model was made, None without one. Raises BadSnapshot."""
        if self.is_folder:
            with self.sources.reading(self.path / SIDECAR) as file:
                return _sidecar_manifest(self.path, self.sources, file, self.record)
        # JellyML 1.0 wrote neither a digest nor a manifest.
        if self.header.sha256 is None:
            return None
        with self.sources.reading(self.path) as file:
            manifest = _manifest(file, format_named(self.format))
        return manifest or (_manifest_of_shard(self.path, self.part_of) if self.part_of else None)

    @cached_property
    def others(self) -> int:
        """Search the whole file, and return how many more snapshots it contains.

        A remote file is not searched, nor an archive that names only one.
        """
        if isinstance(self.path, Remote) or self.is_folder:
            return 0
        with self.sources.reading(self.path) as file:
            if self.format == torch_zip.name and not torch_zip.may_hold_several(file, CODE):
                return 0
            return max(0, sum(1 for _ in find_records(file, CODE, serialization.prove, [])) - 1)

    def has_same_code(self, other: "Checkpoint") -> bool:
        """Return whether both carry the same code. Their packs may differ."""
        same = self.header.sha256 and self.header.sha256 == other.header.sha256
        return bool(same) or self._commit() == other._commit()

    def _commit(self) -> str:
        return self.header.stands_for or serialization.head_of(next(self.bundle(), b""))

    def records(self) -> tuple[bytes, bytes]:
        """Return the filling and the manifest's record, for another checkpoint.

        The record is empty without a manifest. Size and digests are those of ``bundle``. Raises
        BadSnapshot.
        """
        bundle = b"".join(self.bundle())
        digest = hashlib.sha256(bundle).hexdigest()
        manifest = dict(self.manifest or {})
        if manifest.get("bundle_sha256"):
            manifest["bundle_sha256"] = digest
        record = serialization.manifest_record(manifest) if manifest else b""
        return self._header_for(bundle, digest) + bundle, record

    def _header_for(self, bundle: bytes, digest: str) -> bytes:
        """Return the header in the file if it agrees with these bytes, else a new one."""
        header = self.header
        is_right = len(bundle) == header.size and header.sha256 in (None, digest)
        if is_right and not self.is_folder:
            with self.sources.reading(self.path) as file:
                return self.record.head(file, header.offset)
        own, _ = read_header(iter([bundle]))
        return serialization.header(
            bundle,
            commit=own.head,
            stands_for=header.stands_for,
            object_format=own.object_format,
        )

    def bundle(self) -> Iterator[bytes]:
        """Yield the bundle with HEAD as its only ref, safe to hand to the user's git.

        A bundle that JellyML wrote is unchanged. Raises BadSnapshot as ``saved_bundle`` does, and
        if the bundle has no HEAD.
        """
        return with_one_ref(self.saved_bundle())

    def saved_bundle(self) -> Iterator[bytes]:
        """Yield the bytes as they were saved, with all refs. They are untrusted.

        Raises BadSnapshot if they have changed since they were verified.
        """
        if self.cached_bundle:
            bundle = self.cached_bundle.pop()
            yield from (bundle[at : at + CHUNK] for at in range(0, len(bundle), CHUNK))
            return
        path = self.path / SIDECAR if self.is_folder else self.path
        with self.sources.reading(path) as file:
            yield from serialization.bundle(file, self.record, self.header)


def _mend(path: Location) -> None:
    if isinstance(path, Path):
        with explain_errors(path):
            mend(path)


def _caching(cache: list[bytes], cache_size: int) -> Callable[[BinaryIO, Record], Header]:
    """Return a verification that appends the bundle to ``cache`` if it is not too large."""

    def prove(file: BinaryIO, record: Record) -> Header:
        header = serialization.parse_header(record.head(file, serialization.HEADER_SIZE))
        if header.sha256 is None or header.size > cache_size:
            serialization.prove_bundle(file, record, header)
        else:
            cache[:] = [b"".join(serialization.bundle(file, record, header))]
        return header

    return prove


def find_records(
    file: BinaryIO,
    kind: RecordKind,
    prove: Callable[[BinaryIO, Record], T],
    errors: list[BadSnapshot],
    form: Format | None = None,
) -> Iterator[tuple[T, Record]]:
    """Yield the records that ``prove`` accepts, the most likely first, and what it returns.

    The first error is appended to ``errors``. ``form`` is the file's format if it is known.
    """
    seen: set[int] = set()
    for record in (form or format_of(file)).records(file, kind):
        if record.offset in seen or record.head(file, len(kind.magic)) != kind.magic:
            continue
        if len(seen) == _MOST_CANDIDATES:
            return
        seen.add(record.offset)
        try:
            proof = prove(file, record)
        except NewerSnapshot:
            raise
        except BadSnapshot as problem:
            if not errors:
                errors.append(problem.with_traceback(None))
        else:
            yield proof, record


def _open_folder(
    path: Location,
    sources: Sources,
    look: Callable[[Path], Checkpoint],
    prove: Callable[[BinaryIO, Record, Header], object],
) -> Checkpoint:
    """Open a folder with a bundle, which ``git clone`` accepts, and a manifest as plain JSON.

    The files of a local folder without a bundle are searched.
    """
    bundle = path / SIDECAR
    with explain_errors(bundle):
        if isinstance(path, Path) and not sources.exists(bundle):
            one = find_in_folder(path, SIDECAR, look, Checkpoint.has_same_code)
            return replace(one, part_of=path)
    with sources.reading(bundle) as file:
        record = Record(0, size_of(file))
        manifest = _sidecar_manifest(path, sources, file, record) or {}
        header = serialization.bare_header(record.size, manifest)
        prove(file, record, header)
    return Checkpoint(path, header, record, _FOLDER, sources=sources)


def _sidecar_manifest(
    folder: Location, sources: Sources, bundle: BinaryIO, record: Record
) -> dict[str, object] | None:
    """Return the manifest of the bundle. A fill that was killed may have left the new one."""
    if isinstance(folder, Path):
        coming = _json(folder / MANIFEST_COMING, sources)
        if coming and serialization.is_of(coming, record.chunks(bundle)):
            return coming
    return _json(folder / MANIFEST_SIDECAR, sources)


def _json(path: Location, sources: Sources) -> dict[str, object] | None:
    with explain_errors(path):
        if not sources.exists(path):
            return None
    with sources.reading(path) as file:
        return serialization.parse_json(read_at(file, 0, serialization.LARGEST_MANIFEST + 1))


def _manifest(file: BinaryIO, form: Format | None = None) -> dict[str, object] | None:
    errors: list[BadSnapshot] = []
    for manifest, _ in find_records(file, MANIFEST, serialization.read_manifest, errors, form):
        return manifest
    if errors:
        raise errors[0]
    return None


def _manifest_of_shard(path: Location, folder: Path) -> dict[str, object] | None:
    """Search the other shards: they are split by size, so the code's shard may not have it."""
    sources = Sources()
    for part in candidate_files(folder, SIDECAR):
        if part != path and not part.is_dir():
            with sources.reading(part) as file:
                if manifest := _manifest(file):
                    return manifest
    return None


def _no_snapshot(path: Location, file: BinaryIO) -> NoSnapshot:
    """Return the error with the most likely reason."""
    start = read_at(file, 0, len(_LFS_POINTER))
    if not start:
        return NoSnapshot(f"{path} is empty.", AGAIN)
    if start == _LFS_POINTER:
        return NoSnapshot(
            f"{path} is a Git LFS pointer, not the checkpoint itself.", "git lfs pull"
        )
    # Only for archives: the search of another file would read all of it again.
    manifest = _manifest(file) if torch_zip.recognises(file) else None
    if error := Manifest(manifest).error:
        # The repr escapes the control characters of untrusted text.
        return NoSnapshot(
            f"{path} carries no code: capturing it failed when it was saved ({error[:200]!r}).",
            f"mend that, then save it again: {_SAVE}",
        )
    return NoSnapshot(f"{path} carries no JellyML snapshot.", f"put one in when saving: {_SAVE}")
