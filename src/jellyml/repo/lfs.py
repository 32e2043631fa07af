"""git-lfs pointers and their local content. git-lfs itself is never started."""

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jellyml.fs import atomic
from jellyml.repo.git import Git
from jellyml.repo.repository import Repository

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]+\n)*?"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
LIMIT = 1024  # maximum size of a pointer in bytes
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer file, which represents a large file in a repository."""

    oid: str  # sha256 of the content
    size: int  # bytes

    @classmethod
    def parse(cls, content: bytes) -> "Pointer | None":
        """Parse a pointer. Returns None if these bytes are not one."""
        match = _POINTER.fullmatch(content) if len(content) <= LIMIT else None
        return cls(match[1].decode(), int(match[2])) if match else None

    @classmethod
    def read(cls, path: Path) -> "Pointer | None":
        if path.is_symlink() or path.stat().st_size > LIMIT:
            return None
        return cls.parse(path.read_bytes())

    def content(self, *stores: Path) -> Path | None:
        """Return the path of the content in a store with git-lfs's layout; None if absent."""
        for store in stores:
            place = place_of(store, self.oid)
            if place.is_file() and place.stat().st_size == self.size:
                return place
        return None


def unchanged(repository: Repository, modified: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield the paths of ``modified`` (path -> index blob) whose pointer matches the file on disk.

    This is the result of ``git lfs clean``, without starting it. Raises GitError.
    """
    pointers = {}
    for path, pointer in _pointers(repository.git, modified):
        place = repository.root / os.fsdecode(path)
        if not place.is_symlink() and place.stat().st_size == pointer.size:
            pointers[path] = pointer
    if not pointers:
        return
    listed = b"".join(path + b"\0" for path in pointers)
    answer = repository.git.run("check-attr", "-z", "--stdin", "filter", stdin=listed).split(b"\0")
    for path, rule in zip(answer[::3], answer[2::3], strict=False):
        place = repository.root / os.fsdecode(path)
        if rule == b"lfs" and digest(place) == pointers[path].oid:
            yield path


def _pointers(git: Git, blobs: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, "Pointer"]]:
    """Yield the blobs that are pointers, with their paths."""
    if not blobs:
        return
    listed = b"".join(oid + b"\n" for oid in blobs.values())
    answer = git.run("cat-file", "--batch-check=%(objectsize)", stdin=listed).splitlines()
    rows = zip(blobs.items(), answer, strict=True)
    small = {path: oid for (path, oid), size in rows if size.isdigit() and int(size) <= LIMIT}
    contents = git.read_objects(oid.decode() for oid in small.values())
    for path, content in zip(small, contents, strict=True):
        pointer = Pointer.parse(content)
        if pointer:
            yield path, pointer


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, its git-lfs name. Raises OSError."""
    import hashlib  # late: it loads all of OpenSSL

    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def place_of(store: Path, oid: str) -> Path:
    """Return where git-lfs stores the content with this digest."""
    return store / "objects" / oid[:2] / oid[2:4] / oid


def keep(store: Path, contents: Iterable[Path]) -> None:
    """Keep content in JellyML's store too, since ``git lfs prune`` may remove git-lfs's file.

    Uses a hard link, which takes no space, or a copy if links are impossible.
    """
    for content in contents:
        place = place_of(store, content.name)
        if place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            place.hardlink_to(content)
        except OSError:
            with content.open("rb") as file:
                atomic.replace(place, iter(lambda: file.read(_BLOCK), b""))
        atomic.sync_folder(place.parent)


def keep_only(store: Path, oids: Container[str]) -> None:
    """Remove content that no state refers to any more."""
    for place in (store / "objects").glob("*/*/*"):
        if place.name not in oids:
            place.unlink()
            for folder in (place.parent, place.parent.parent):
                with suppress(OSError):
                    folder.rmdir()
