"""Find the checkpoint that a recorded parent names, by the rules of ``docs/manifest.md``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jellyml.catalog.entry import Entry
from jellyml.fs.paths import natural_key
from jellyml.remote.address import Remote
from jellyml.snapshot.manifest import Manifest

_ID = re.compile(r"[0-9a-f]{7,64}")
_SEPARATOR = re.compile(r"[/\\]+")
_MOST = 16  # parents of one checkpoint
_LONGEST = 1024  # characters of a name


@dataclass(frozen=True, slots=True)
class Parent:
    """A recorded parent: ``named`` is the recorded text.

    ``number`` is that of the checkpoint, None if none of the listed ones matches. ``alike`` is how
    many match the name.
    """

    named: str
    number: int | None = None
    alike: int = 0


def names(manifest: Manifest) -> list[str]:
    """Return the parents that a manifest records. Values that are not text are ignored."""
    recorded = manifest.notes.get("parent")
    values = recorded if isinstance(recorded, list) else [recorded]
    texts = [each[:_LONGEST] for each in values if isinstance(each, str) and each.strip()]
    return list(dict.fromkeys(texts))[:_MOST]


class Names:
    """An index of all checkpoints by path and by id."""

    def __init__(self, entries: Sequence[Entry], commits: Sequence[str | None]) -> None:
        self._entries = entries
        self._paths = [_parts(_whole(one.path)) for one in entries]
        self._last: dict[str, list[int]] = {}
        self._ids: list[tuple[str, int]] = []
        for number, path in enumerate(self._paths):
            self._last.setdefault(path[-1] if path else "", []).append(number)
            header = entries[number].checkpoint.header
            ids = {commits[number], header.commit, header.sha256, entries[number].bundle}
            self._ids += [(each, number) for each in ids if each]

    def parents(self, child: int) -> tuple[Parent, ...]:
        return tuple(self._parent(child, name) for name in names(self._entries[child].manifest))

    def _parent(self, child: int, name: str) -> Parent:
        alike = self._earlier(child, self._by_id(name)) or self._earlier(child, self._by_path(name))
        if not alike:
            return Parent(name)
        shared = [_shared(self._paths[child], self._paths[each]) for each in alike]
        nearest = [each for each, depth in zip(alike, shared, strict=True) if depth == max(shared)]
        return Parent(name, max(nearest, key=self._order), len(alike))

    def _earlier(self, child: int, numbers: Sequence[int]) -> list[int]:
        """Return the numbers without the child itself and without later captures."""
        when = self._entries[child].created
        return [
            each
            for each in dict.fromkeys(numbers)
            if each != child and not (when and (self._entries[each].created or "") > when)
        ]

    def _by_id(self, name: str) -> list[int]:
        if not _ID.fullmatch(name):
            return []
        return [number for each, number in self._ids if each.startswith(name)]

    def _by_path(self, name: str) -> list[int]:
        """Return the checkpoints whose paths share the longest ending with the name."""
        path = _parts(name)
        if not path:
            return []
        alike = self._last.get(path[-1], [])
        ends = [_shared(path[::-1], self._paths[each][::-1]) for each in alike]
        return [each for each, end in zip(alike, ends, strict=True) if end == max(ends)]

    def _order(self, number: int) -> tuple[object, ...]:
        one = self._entries[number]
        return one.created or "", natural_key(str(one.path))


def _whole(path: Path | Remote) -> str:
    return str(path.absolute() if isinstance(path, Path) else path)


def _parts(path: str) -> list[str]:
    """Split ``./runs/a/../b.pth`` into runs, b.pth; leading ``..`` are dropped."""
    parts: list[str] = []
    for part in _SEPARATOR.split(path.strip()):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the common prefix."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
