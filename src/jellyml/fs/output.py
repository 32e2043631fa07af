"""Write a file where the user says: through no link, and over nothing but JellyML's own.

What is in a folder may have been put there by code that was loaded, links at default names among
it. So no link is followed at the last step of a path, and a file that is there is replaced only
if it is of the kind that is written and JellyML wrote it, or with ``--force``.
"""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.fs import atomic, rename

_START = 4096  # bytes, of which each kind is known
_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")


@dataclass(frozen=True, slots=True)
class OutputKind:
    """What a command writes; ``is_own`` knows what JellyML wrote by a file's first bytes."""

    name: str
    is_own: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Output:
    """A path at which a file of a kind may be written.

    path        where; its last step is never followed
    kind        what
    instead     the option or argument that names another file, for messages
    force       replace any regular file, or a link; None where there is no such option
    is_default  the user did not type the name: nothing is replaced but with ``force``
    """

    path: Path
    kind: OutputKind
    instead: str
    force: bool | None = None
    is_default: bool = False

    def check(self) -> os.stat_result | None:
        """What is at the path and may be replaced; None where nothing is. Raises UsageError."""
        seen = self._seen()
        if seen is None or (self.force and _is_replaceable(seen)):
            return seen
        if stat.S_ISLNK(seen.st_mode):
            raise self._refused("is a symbolic link, and no file is written through one", "link")
        if not stat.S_ISREG(seen.st_mode):
            what = "is a folder" if stat.S_ISDIR(seen.st_mode) else "is not a regular file"
            raise UsageError(f"{self.path} {what}.", f"{self.instead} writes another file.")
        if self.is_default:
            raise self._refused("exists already, and a default name replaces no file", "file")
        if not self.kind.is_own(_start(self.path)):
            raise self._refused(
                f"exists already, and is not a {self.kind.name} of JellyML's", "file"
            )
        return seen

    def write(self, chunks: Iterable[bytes]) -> None:
        """Write the file, whole or not at all. Raises UsageError as ``check`` does, and OSError.

        A file that is replaced leaves its mode to the new one.
        """
        seen = self.check()
        mode = 0o666
        if seen and stat.S_ISREG(seen.st_mode):
            mode = 0o600 | seen.st_mode & 0o666
        with atomic.replacement(self.path, mode=mode, put=self._put) as file:
            for chunk in chunks:
                file.write(chunk)

    def _put(self, beside: Path, path: Path) -> None:
        """Looks again: what was there when the command began may be another file by now."""
        if self.check():
            beside.replace(path)
        elif not rename.put_new(beside, path):
            raise self._refused("has appeared while it was to be written", "file")

    def _seen(self) -> os.stat_result | None:
        try:
            if not self.path.parent.is_dir():
                raise UsageError(
                    f"{self.path} lies in a folder that does not exist.",
                    "name a file in a folder that is there.",
                )
            return self.path.lstat()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self.path!s:.80} cannot be written: {error}.", f"{self.instead} writes another."
            ) from None

    def _refused(self, what: str, thing: str) -> UsageError:
        fix = f"{self.instead} writes another file"
        forced = "" if self.force is None else f"; --force replaces this {thing}"
        return UsageError(f"{self.path} {what}. It is as it was.", f"{fix}{forced}.")


def _is_replaceable(seen: os.stat_result) -> bool:
    return stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode)


def _start(path: Path) -> bytes:
    """The first bytes of a regular file; none of a link or of what has taken its place."""
    flags = os.O_RDONLY
    for name in _FLAGS:
        flags |= getattr(os, name, 0)
    with suppress(OSError), os.fdopen(os.open(path, flags), "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file.read(_START)
    return b""
