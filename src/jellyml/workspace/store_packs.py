"""The packs of the store: written so that they last, lent to the user, put together when many."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from jellyml.errors import GitError
from jellyml.fs import atomic
from jellyml.repo.git import Git

_PACK = ("pack-objects", "--delta-base-offset", "-q")
_MANY = 32  # git searches one after the other
_SMALL = 1 << 20  # bytes: 32 of these are put together in no time, and larger ones stay
_INDEX = b"\xfftOc\x00\x00\x00\x02"
_FIRST = len(_INDEX) + 256 * 4  # ids follow their numbers by first byte; the last is of all


def write(git: Git, folder: Path, revisions: Iterable[str]) -> str:
    """Write what these revisions reach into one pack; returns ``pack-<its name>``.

    Without deltas: a pack of few objects of different kinds is written in half the time.
    """
    asked = "".join(f"{one}\n" for one in revisions)
    return _written(git, folder, "--revs", "--window=0", stdin=asked)


def write_objects(git: Git, folder: Path, ids: Iterable[str]) -> str:
    """Write just these objects into one pack."""
    return _written(git, folder, stdin="".join(f"{one}\n" for one in ids))


def merge(git: Git, folder: Path) -> None:
    """Put small packs together where there are many; what fails is tried again next time."""
    small = [pack for pack in folder.glob("*.pack") if pack.stat().st_size < _SMALL]
    if len(small) < _MANY:
        return
    with suppress(GitError, OSError):
        # One without its index is none: whoever wrote or removed it was killed.
        whole = [index for pack in small if (index := pack.with_suffix(".idx")).exists()]
        # Not --stdin-packs: git would walk all the history that a commit in them grows from.
        new = write_objects(git, folder, sorted({oid for index in whole for oid in _ids(index)}))
        _drop(pack for pack in small if pack.stem != new)


def drop_others(folder: Path, name: str) -> None:
    """Remove all packs but one."""
    _drop(pack for pack in folder.glob("*.pack") if pack.stem != name)
    atomic.sync_folder(folder)


def lend(name: str, folder: Path, theirs: Path) -> None:
    """One pack to another repository: the same file under two names where that can be."""
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
    """The objects that a pack's index (version 2) names. Raises OSError where it is another."""
    content, size = index.read_bytes(), len(index.stem.removeprefix("pack-")) // 2
    if content[:8] != _INDEX or len(content) < _FIRST:
        raise OSError(f"{index} is no index of a pack.")
    end = _FIRST + size * int.from_bytes(content[_FIRST - 4 : _FIRST], "big")
    return (content[at : at + size].hex() for at in range(_FIRST, end, size))


def _drop(packs: Iterable[Path]) -> None:
    for pack in packs:
        for suffix in (".idx", ".rev", ".pack"):
            pack.with_suffix(suffix).unlink(missing_ok=True)
