"""The packs of the store: write them durably, copy them to the user, merge small ones."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from jellyml.errors import GitError
from jellyml.fs import atomic
from jellyml.repo.git import Git

_PACK = ("pack-objects", "--delta-base-offset", "-q")
_MANY = 32  # git searches packs one after the other
_SMALL = 1 << 20  # bytes: merging 32 of these is quick, and larger ones stay
_INDEX = b"\xfftOc\x00\x00\x00\x02"
_FIRST = len(_INDEX) + 256 * 4  # sorted ids follow a table of 256 counts; the last one is the total


def write(git: Git, folder: Path, revisions: Iterable[str]) -> str:
    """Write the objects reachable from revisions into a pack; return ``pack-<its name>``.

    Without deltas: a pack of few, dissimilar objects is written in half the time.
    """
    listed = "".join(f"{one}\n" for one in revisions)
    return _written(git, folder, "--revs", "--window=0", stdin=listed)


def write_objects(git: Git, folder: Path, ids: Iterable[str]) -> str:
    """Write exactly these objects into one pack."""
    return _written(git, folder, stdin="".join(f"{one}\n" for one in ids))


def merge(git: Git, folder: Path) -> None:
    """Merge small packs if there are many. An error is ignored, and the next call tries again."""
    small = [pack for pack in folder.glob("*.pack") if pack.stat().st_size < _SMALL]
    if len(small) < _MANY:
        return
    with suppress(GitError, OSError):
        # A pack without an index is incomplete: its writer or remover was killed.
        whole = [index for pack in small if (index := pack.with_suffix(".idx")).exists()]
        # Not --stdin-packs: git would walk the full history of every commit in them.
        new = write_objects(git, folder, sorted({oid for index in whole for oid in _ids(index)}))
        _drop(pack for pack in small if pack.stem != new)


def drop_others(folder: Path, name: str) -> None:
    """Delete all packs except one."""
    _drop(pack for pack in folder.glob("*.pack") if pack.stem != name)
    atomic.sync_folder(folder)


def lend(name: str, folder: Path, theirs: Path) -> None:
    """Copy a pack to another repository, by hard link if possible."""
    theirs.mkdir(exist_ok=True)
    for suffix in (".pack", ".rev", ".idx"):  # git looks for the index, so it comes last
        source, place = folder / f"{name}{suffix}", theirs / f"{name}{suffix}"
        if not source.exists():
            continue
        with suppress(FileExistsError):
            try:
                place.hardlink_to(source)
            except OSError as error:
                if isinstance(error, FileExistsError):
                    raise
                atomic.replace(place, [source.read_bytes()], mode=0o444)
    atomic.sync_folder(theirs)


def _written(git: Git, folder: Path, *options: str, stdin: str) -> str:
    base = str(folder / "pack")
    name = git.run(*_PACK, *options, base, stdin=stdin.encode()).decode().strip()
    atomic.sync_folder(folder)
    return f"pack-{name}"


def _ids(index: Path) -> Iterator[str]:
    """Return the objects in a pack index of version 2. Raises OSError for any other version."""
    content, size = index.read_bytes(), len(index.stem.removeprefix("pack-")) // 2
    if content[:8] != _INDEX or len(content) < _FIRST:
        raise OSError(f"{index} is not a pack index of version 2.")
    end = _FIRST + size * int.from_bytes(content[_FIRST - 4 : _FIRST], "big")
    return (content[at : at + size].hex() for at in range(_FIRST, end, size))


def _drop(packs: Iterable[Path]) -> None:
    for pack in packs:
        for suffix in (".idx", ".rev", ".pack"):
            pack.with_suffix(suffix).unlink(missing_ok=True)
