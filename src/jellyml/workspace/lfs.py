"""git-lfs's pointers, and the content that lies here for them. No program of it is started."""

import re
from dataclasses import dataclass
from pathlib import Path

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]+\n)*?"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
LIMIT = 1024  # bytes that a pointer has at the most


@dataclass(frozen=True, slots=True)
class Pointer:
    """What stands in a repository for a large file."""

    oid: str  # sha256 of the content
    size: int  # bytes

    @classmethod
    def parse(cls, content: bytes) -> "Pointer | None":
        """The pointer that these bytes are, if they are one."""
        match = _POINTER.fullmatch(content) if len(content) <= LIMIT else None
        return cls(match[1].decode(), int(match[2])) if match else None

    @classmethod
    def read(cls, path: Path) -> "Pointer | None":
        if path.is_symlink() or path.stat().st_size > LIMIT:
            return None
        return cls.parse(path.read_bytes())

    def content(self, store: Path) -> Path | None:
        """Where the content lies in git-lfs's store, when it does."""
        place = store / "objects" / self.oid[:2] / self.oid[2:4] / self.oid
        return place if place.is_file() and place.stat().st_size == self.size else None
