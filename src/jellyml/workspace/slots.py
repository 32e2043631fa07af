"""Files kept beside the working tree, flat: each in a slot that is named after its path.

No folder has to be made for them, and no name that a stranger chose is made outside of the
working tree.
"""

import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path


def slot(folder: Path, path: bytes) -> Path:
    """Where the file of a path lies in a flat folder."""
    import hashlib  # late: it loads all of OpenSSL

    return folder / hashlib.sha256(path).hexdigest()


def free_slot(folder: Path, path: bytes) -> Path:
    """A slot for one more file of that path, should it be taken."""
    first = slot(folder, path)
    places = (first.with_suffix(f".{number}" if number else "") for number in itertools.count())
    return next(place for place in places if not os.path.lexists(place))


def path_of(lying: Path, slots: Mapping[str, bytes]) -> bytes:
    """Whose a file is, from where it lies in a flat folder; ``slots`` are the paths by slot.

    It may lie below a slot, where a folder stood in a file's place; a name that is no slot
    stands for itself.
    """
    first, *rest = lying.parts
    path = slots.get(Path(first).stem, os.fsencode(first))
    return os.fsencode(Path(os.fsdecode(path), *rest))


def by_slot(paths: Iterable[bytes]) -> dict[str, bytes]:
    """Paths by the names of their slots."""
    return {slot(Path(), path).name: path for path in paths}
