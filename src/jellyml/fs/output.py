"""Write an output file: never through a link, and only over a file that JellyML wrote.

Loaded code may have placed links at default output names. So the last step of a path is never
followed, and an existing file is replaced only if JellyML wrote a file of this kind, or with
``--force``.
"""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.fs import atomic, rename

_START = 4096  # bytes that are enough to identify each kind


@dataclass(frozen=True, slots=True)
class OutputKind:
    """A kind of output. ``is_own`` recognises JellyML's files by their first bytes."""

    name: str
    is_own: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Output:
    """A path at which a file of one kind may be written.

    path        the target; its last step is never followed
    kind        the kind of file
    instead     the option or argument that names another file, for messages
    force       replace any regular file, or a link; None if there is no such option
    is_default  the user did not type the name: nothing is replaced without ``force``
    """

    path: Path
    kind: OutputKind
    instead: str
    force: bool | None = None
    is_default: bool = False

    def check(self) -> os.stat_result | None:
        """Return the status of a replaceable file; None for a free path. Raises UsageError."""
        status = self._seen()
        if status is None or (self.force and _is_replaceable(status)):
            return status
        if stat.S_ISLNK(status.st_mode):
            raise self._refused("is a symbolic link, and no file is written through one", "link")
        if not stat.S_ISREG(status.st_mode):
            what = "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file"
            raise UsageError(f"{self.path} {what}.", f"{self.instead} writes another file.")
        if self.is_default:
            raise self._refused("exists already, and a default name replaces no file", "file")
        if not self.kind.is_own(_start(self.path)):
            raise self._refused(
                f"exists already, and is not a {self.kind.name} written by JellyML", "file"
            )
        return status

    def write(self, chunks: Iterable[bytes]) -> None:
        """Write the file atomically. Raises UsageError as ``check`` does, and OSError.

        A replaced file passes its mode on to the new one.
        """
        status = self.check()
        mode = 0o666
        if status and stat.S_ISREG(status.st_mode):
            mode = 0o600 | status.st_mode & 0o666
        with atomic.replacement(self.path, mode=mode, put=self._put) as file:
            for chunk in chunks:
                file.write(chunk)

    def _put(self, beside: Path, path: Path) -> None:
        """Check again: another file may have appeared since the command began."""
        if self.check():
            beside.replace(path)
        elif not rename.put_new(beside, path):
            raise self._refused("has appeared since the command started", "file")

    def _seen(self) -> os.stat_result | None:
        try:
            if not self.path.parent.is_dir():
                raise UsageError(
                    f"{self.path} is in a folder that does not exist.",
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
    """Return the first bytes of a regular file; nothing for a link or any other file."""
    with suppress(OSError), atomic.open_plain(path) as file:
        return file.read(_START)
    return b""
