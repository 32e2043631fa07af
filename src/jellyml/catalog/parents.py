"""Which checkpoint the recorded parent of another is; ``docs/manifest.md`` is the rule."""

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
    """``named``: what is recorded. ``number``: of the checkpoint it is, None if it is none of
    those looked at; ``alike``: how many bear the name.
    """

    named: str
    number: int | None = None
    alike: int = 0


def names(manifest: Manifest) -> list[str]:
    """What a manifest records as its parents, a text each; whatever else stands there is not."""
    recorded = manifest.notes.get("parent")
    given = recorded if isinstance(recorded, list) else [recorded]
    texts = [each[:_LONGEST] for each in given if isinstance(each, str) and each.strip()]
    return list(dict.fromkeys(texts))[:_MOST]


class Names:
    """All checkpoints, to be found by what they are called."""

    def __init__(self, found: Sequence[Entry], commits: Sequence[str | None]) -> None:
        self._found = found
        self._paths = [_parts(_whole(one.path)) for one in found]
        self._last: dict[str, list[int]] = {}
        self._ids: list[tuple[str, int]] = []
        for number, path in enumerate(self._paths):
            self._last.setdefault(path[-1] if path else "", []).append(number)
            header = found[number].checkpoint.header
            ids = {commits[number], header.commit, header.sha256, found[number].bundle}
            self._ids += [(each, number) for each in ids if each]

    def parents(self, child: int) -> tuple[Parent, ...]:
        return tuple(self._parent(child, name) for name in names(self._found[child].manifest))

    def _parent(self, child: int, name: str) -> Parent:
        alike = self._earlier(child, self._by_id(name)) or self._earlier(child, self._by_path(name))
        if not alike:
            return Parent(name)
        shared = [_shared(self._paths[child], self._paths[each]) for each in alike]
        nearest = [each for each, depth in zip(alike, shared, strict=True) if depth == max(shared)]
        return Parent(name, max(nearest, key=self._order), len(alike))

    def _earlier(self, child: int, numbers: Sequence[int]) -> list[int]:
        """Without itself, and without what was captured after it."""
        when = self._found[child].created
        return [
            each
            for each in dict.fromkeys(numbers)
            if each != child and not (when and (self._found[each].created or "") > when)
        ]

    def _by_id(self, name: str) -> list[int]:
        if not _ID.fullmatch(name):
            return []
        return [number for each, number in self._ids if each.startswith(name)]

    def _by_path(self, name: str) -> list[int]:
        """Those whose paths end alike, in as many parts as any does."""
        path = _parts(name)
        if not path:
            return []
        alike = self._last.get(path[-1], [])
        ends = [_shared(path[::-1], self._paths[each][::-1]) for each in alike]
        return [each for each, end in zip(alike, ends, strict=True) if end == max(ends)]

    def _order(self, number: int) -> tuple[object, ...]:
        one = self._found[number]
        return one.created or "", natural_key(str(one.path))


def _whole(path: Path | Remote) -> str:
    return str(path.absolute() if isinstance(path, Path) else path)


def _parts(path: str) -> list[str]:
    """``./runs/a/../b.pth`` is runs, b.pth; of a path that leads up, what follows."""
    parts: list[str] = []
    for part in _SEPARATOR.split(path.strip()):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts are the same from the start."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
