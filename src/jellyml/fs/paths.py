"""Paths: make one absolute, check that it can be written, and sort names with numbers in them."""

import errno
import os
import re
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.fs.atomic import NOTHING_THERE

_NUMBER = re.compile(r"(\d{1,18})")  # int() refuses thousands of digits


def path_of(path: "str | os.PathLike[str]", name: str = "") -> Path:
    """A path that a caller passed as ``name``; UsageError for what cannot be one."""
    called = f"{name}={path!r}" if name else repr(path)
    try:
        found = Path(path)
    except TypeError:
        raise UsageError(f"{called} is not a path.", "pass a str or a Path.") from None
    if "\0" in str(found):
        raise UsageError(f"{called} is not a path.", "pass one without a NUL character.")
    return found


def given(name: str, path: "str | os.PathLike[str]") -> Path:
    """The same, made absolute."""
    try:
        return path_of(path, name).absolute()
    except OSError:
        raise UsageError(
            "The current folder is gone.",
            f"go to one that is there (cd ~), or pass {name} as a whole path.",
        ) from None


def resolved(path: Path) -> Path:
    """Where a path leads, links followed. Raises OSError for links that lead in a circle."""
    try:
        return path.resolve()
    except RuntimeError:  # Python before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def mode_of(path: Path) -> int:
    """The ``st_mode`` of what a path leads to; 0 where nothing is or can be there.

    Raises UsageError where that cannot be found out.
    """
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in NOTHING_THERE:
            return 0
        raise UsageError(
            f"{path} cannot be reached: {error.strerror}.", "check the folders above it."
        ) from None


def standing() -> Path | None:
    """The current folder; None where it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return None


def natural_key(path: "str | os.PathLike[str]") -> list[tuple[int, str]]:
    """A key to sort names or paths by, so that ``epoch10`` comes after ``epoch9``."""
    parts = _NUMBER.split(os.fspath(path))
    return [(int(part) if number % 2 else 0, part) for number, part in enumerate(parts)]


def is_folder(path: Path) -> bool:
    """True for a folder itself, not for a link to one."""
    return not path.is_symlink() and path.is_dir()
