"""A checkpoint's file, here or at an address, opened to be read within bounds."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO, cast

from jellyml.errors import BadSnapshot, JellyError, NoSnapshot, pasteable
from jellyml.remote.address import Location, Remote
from jellyml.remote.file import TooFar

AGAIN = "take the checkpoint again from where it came, or save it again."
_MOST_READINGS = 4
_READ_FREELY = 16 << 20
_GLANCED_AT_ONCE = 64 << 10  # by one request, of what lies elsewhere


class NotSearched(NoSnapshot):
    """None was found, and only a search through the whole of a large file could say more."""


def is_folder(path: Location, bundle: str) -> bool:
    """A remote one is known by the bundle in it: most stores have files only."""
    with told(path):
        if isinstance(path, Path):
            return path.is_dir()
        return not path.is_there() and path.below(bundle).is_there()


def is_there(path: Location) -> bool:
    return path.exists() if isinstance(path, Path) else path.is_there()


def beside(folder: Location, name: str) -> Location:
    return folder / name if isinstance(folder, Path) else folder.below(name)


@contextmanager
def reading(path: Location, most: int | None = None) -> Iterator["Opened"]:
    """The file, to be read a few times over, or no more than ``most`` bytes (NotSearched)."""
    if isinstance(path, Remote):
        with told(path):
            far = path.file()
            if most is not None:
                far.left, far.most = most, _GLANCED_AT_ONCE
            yield cast("Opened", far)
        return
    with told(path):
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode):  # opening a pipe would wait for ever
            raise NoSnapshot(f"{path} is not a file.", "name the checkpoint's file or folder.")
        whole = _MOST_READINGS * seen.st_size + _READ_FREELY
        with _Patient(path, whole if most is None else most) as file:
            try:
                yield cast("Opened", file)
            except _ReadTooOften:
                if most is None:
                    raise
                raise NotSearched(
                    f"{path} was searched only in part.", f"jellyml show {pasteable(path)}"
                ) from None


@contextmanager
def told(path: Location) -> Iterator[None]:
    """What goes wrong in the block is told with the file's name and a fix."""
    try:
        yield
    except FileNotFoundError:
        raise NoSnapshot(f"There is no file {path}.", "check its name and folder.") from None
    except TooFar:
        raise NotSearched(
            f"{path} does not say where it carries a snapshot, and all of it would have to be "
            "fetched.",
            "download it, then name the file.",
        ) from None
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise JellyError(
            f"{path} could not be read: {reason}.", "check its permissions and its disk."
        ) from None
    except _ReadTooOften:
        raise BadSnapshot(f"{path} is full of wrong snapshot headers.", AGAIN) from None
    except BadSnapshot as problem:
        raise type(problem)(
            f"{path} holds a JellyML snapshot that cannot be used. {problem.problem}",
            problem.fix or AGAIN,
        ) from None


class _ReadTooOften(Exception): ...


class Opened(BinaryIO):
    """An open file of which no more than ``left`` bytes are read."""

    left: int


class _Patient(FileIO):
    """A file that can be read a few times over, and no more."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path)
        self.left = most

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        self.left -= len(data)
        if self.left < 0:
            raise _ReadTooOften
        return data
