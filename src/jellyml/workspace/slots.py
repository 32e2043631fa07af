"""Files kept beside the working tree, flat: each in a slot that is named after its path.

No folder has to be made for them, and no name that a stranger chose is made outside of the
working tree.
"""

import itertools
import os
from collections.abc import Iterable
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


def path_of(lying: Path, paths: Iterable[bytes]) -> bytes:
    """Which of ``paths`` a file belongs to, from where it lies in a flat folder.

    It may lie below a slot, where a folder stood in a file's place; a name that is no slot of
    ``paths`` stands for itself.
    """
    first, *rest = lying.parts
    named = (path for path in paths if slot(Path(), path).stem == Path(first).stem)
    return os.fsencode(Path(os.fsdecode(next(named, os.fsencode(first))), *rest))
