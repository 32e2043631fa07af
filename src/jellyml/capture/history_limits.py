"""Decide from the object store alone whether a history is small enough to go into a snapshot.

Idea: the time that git needs to count a history depends on the machine and its load, the number of
objects in the store does not. So the same repository always gives the same snapshot.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jellyml.fs.paths import resolved
from jellyml.repo.alternates import object_stores

# git counts about 220,000 packed objects a second, and loose ones at a quarter of that: each is a
# file of its own (measured with git 2.39).
MOST_OBJECTS = 400_000
_LOOSE = 4
MOST_BYTES = 64_000_000
_SAMPLE, _SAMPLES = "17", 256  # git gc estimates loose objects in this way (builtin/gc.c)
_FANOUT_END = 8 + 255 * 4  # where the number of objects is in a pack index of version 2


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """The limits of history="auto": bytes of the bundle, and objects in the store."""

    size: int = MOST_BYTES
    objects: int = MOST_OBJECTS


def cost_of_counting(objects: Path) -> int:
    """Return how many packed objects take as long to count as those of an object store.

    Packs with a bitmap cost nothing: git reads the answer from it. Alternates are included.
    """
    stores: set[Path] = set()
    for store in object_stores(objects):
        with suppress(OSError, ValueError):  # a link loop, or a name with a NUL: git skips it too
            stores.add(resolved(store))
    return sum(_packed(store) + _LOOSE * _loose(store) for store in stores)


def _packed(store: Path) -> int:
    return sum(
        _entries(path) for path in (store / "pack").glob("*.idx")
        if not path.with_suffix(".bitmap").exists()
    )  # fmt: skip


def _entries(index: Path) -> int:
    with suppress(OSError), index.open("rb") as file:
        file.seek(_FANOUT_END)
        return int.from_bytes(file.read(4), "big")
    return 0


def _loose(store: Path) -> int:
    """Return about how many loose objects there are: ids are spread evenly over the folders."""
    with suppress(OSError):
        return _SAMPLES * sum(1 for _ in (store / _SAMPLE).iterdir())
    return 0
