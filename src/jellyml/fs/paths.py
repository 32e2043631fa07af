"""Paths: make them absolute, check them, and sort names that contain numbers."""

import errno
import os
import re
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.fs.atomic import NOTHING_THERE

_NUMBER = re.compile(r"(\d{1,18})")  # int() refuses thousands of digits


def path_of(path: "str | os.PathLike[str]", name: str = "") -> Path:
    """Convert an argument called ``name`` to a Path. Raises UsageError if it is not a path."""
    called = f"{name}={path!r}" if name else repr(path)
    try:
        result = Path(path)
    except TypeError:
        raise UsageError(f"{called} is not a path.", "pass a str or a Path.") from None
    if "\0" in str(result):
        raise UsageError(f"{called} is not a path.", "pass one without a NUL character.")
    return result


def parse_path(name: str, path: "str | os.PathLike[str]") -> Path:
    """Do the same, and make the path absolute."""
    try:
        return path_of(path, name).absolute()
    except OSError:
        raise UsageError(
            "The current folder is gone.",
            f"go to one that is there (cd ~), or pass {name} as a whole path.",
        ) from None


def resolved(path: Path) -> Path:
    """Return a path with its links resolved. Raises OSError for a link loop."""
    try:
        return path.resolve()
    except RuntimeError:  # Python before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def mode_of(path: Path) -> int:
    """Return the ``st_mode`` of a path, links followed; 0 if nothing is there.

    Raises UsageError if this cannot be determined.
    """
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return 0
        raise UsageError(
            f"{path} cannot be reached: {error.strerror}.", "check the folders above it."
        ) from None


def current_folder() -> Path | None:
    """Return the current folder; None if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


def natural_key(path: "str | os.PathLike[str]") -> list[tuple[int, str]]:
    """Return a sort key for names or paths: ``epoch10`` comes after ``epoch9``."""
    parts = _NUMBER.split(os.fspath(path))
    return [(int(part) if number % 2 else 0, part) for number, part in enumerate(parts)]


def is_folder(path: Path) -> bool:
    """Return True for a folder, False for a link to one."""
    return not path.is_symlink() and path.is_dir()
