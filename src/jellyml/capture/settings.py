"""How a snapshot is taken: as the call says, else as ``[tool.jellyml]`` says, else the defaults.

The table stands in the nearest ``pyproject.toml`` that has one, from the folder up to the root of
the repository. What is wrong in a call is an error; what is wrong in the file is said and passed
over, for no training run ends for want of a snapshot.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from jellyml.capture.bundle import History
from jellyml.errors import UsageError
from jellyml.working_tree.selection import MAX_FILE_SIZE, MAX_UNTRACKED

OnSecrets = Literal["warn", "error", "ignore"]

# What a lock can be waited for (threading.TIMEOUT_MAX is less on some systems).
_LONGEST = 1_000_000
_FILE = "pyproject.toml"
_TABLE = b"[tool.jellyml]"


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes in bytes, ``timeout`` in seconds; ``create_snapshot`` says what each means."""

    history: History = "auto"
    max_file_size: int = MAX_FILE_SIZE
    max_untracked: int = MAX_UNTRACKED
    strict: bool = False
    timeout: float = 60.0
    on_secrets: OnSecrets = "warn"


def settings(folder: Path, given: Mapping[str, object]) -> tuple[Settings, list[str]]:
    """The settings for a snapshot of ``folder``, and what should be said of the file.

    ``given`` is what the call says, None for what it leaves open. Raises UsageError.
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    for name, value in arguments.items():
        _check(name, value)
    file, table, said = _table(folder)
    chosen: dict[str, object] = {}
    for name, value in table.items():
        try:
            _check(name, value)
        except UsageError as error:
            said.append(f"{file}, [tool.jellyml]: {error}")
        else:
            chosen[name] = value
    return Settings(**{**chosen, **arguments}), said  # type: ignore[arg-type]


def _table(folder: Path) -> tuple[Path, dict[str, object], list[str]]:
    for place in (folder, *folder.parents):
        file = place / _FILE
        try:
            # A pipe would be waited for, a device may have no end.
            text = file.read_bytes() if file.is_file() else b""
        except OSError:
            text = b""
        if _TABLE in text:
            return file, *_parsed(file, text)
        if (place / ".git").exists():
            break
    return folder, {}, []


def _parsed(file: Path, text: bytes) -> tuple[dict[str, object], list[str]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return dict(tomllib.loads(text.decode())["tool"]["jellyml"]), []
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return {}, [f"{file} could not be read, so [tool.jellyml] does not count: {error}"]


def _check(name: str, value: object) -> None:
    if name not in _CHECKS:
        raise UsageError(f"{name} is not a setting.", f"use one of {', '.join(_CHECKS)}.")
    _CHECKS[name](name, value)


def _history(name: str, value: object) -> None:
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not number and value not in ("auto", "full", "none"):
        raise UsageError(
            f"{name}={value!r} is not a choice.",
            'use "auto", "full", "none" or a number of commits.',
        )


def _size(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{name}={value!r} is not a size.", "pass a number of bytes.")


def _seconds(name: str, value: object) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= _LONGEST:  # type: ignore[operator]
        raise UsageError(f"{name}={value!r} is not a time.", "pass a number of seconds above 0.")


def _switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{name}={value!r} is neither True nor False.", "pass one of the two.")


def _on_secrets(name: str, value: object) -> None:
    if value not in get_args(OnSecrets):
        choices = '"warn", "error" or "ignore"'
        raise UsageError(f"{name}={value!r} is not a choice.", f"use {choices}.")


_CHECKS: dict[str, Callable[[str, object], None]] = {
    "history": _history,
    "max_file_size": _size,
    "max_untracked": _size,
    "strict": _switch,
    "timeout": _seconds,
    "on_secrets": _on_secrets,
}
assert list(_CHECKS) == [field.name for field in fields(Settings)]
