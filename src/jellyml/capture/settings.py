"""The settings of a snapshot: the arguments of the call, then ``[tool.jellyml]``, then defaults.

The table is in the nearest ``pyproject.toml`` that has one, from the folder up to the root of
the repository. A wrong argument is an error. A wrong value in the file is a warning and is
ignored, because a capture must not end a training run.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from jellyml.capture.bundle import History
from jellyml.errors import UsageError
from jellyml.working_tree.selection import MAX_FILE_SIZE, MAX_UNTRACKED

OnSecrets = Literal["warn", "error", "ignore"]

# Seconds; a lock cannot wait longer on some systems (threading.TIMEOUT_MAX).
_LONGEST = 1_000_000
_FILE = "pyproject.toml"
_TABLE = b"[tool.jellyml]"


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes in bytes, ``timeout`` in seconds; ``create_snapshot`` describes each."""

    history: History = "auto"
    max_file_size: int = MAX_FILE_SIZE
    max_untracked: int = MAX_UNTRACKED
    strict: bool = False
    timeout: float = 60.0
    on_secrets: OnSecrets = "warn"


def settings(folder: Path, arguments: Mapping[str, object]) -> tuple[Settings, list[str]]:
    """Return the settings for a snapshot of ``folder``, and warnings about the file.

    ``arguments`` are those of the call, None for the default. Raise UsageError for a wrong one.
    """
    explicit = {name: value for name, value in arguments.items() if value is not None}
    for name, value in explicit.items():
        _check(name, value)
    file, table, warnings = _table(folder)
    chosen: dict[str, object] = {}
    for name, value in table.items():
        try:
            _check(name, value)
        except UsageError as error:
            warnings.append(f"{file}, [tool.jellyml]: {error}")
        else:
            chosen[name] = value
    return Settings(**{**chosen, **explicit}), warnings  # type: ignore[arg-type]


def weaker_settings(folder: Path) -> list[str]:
    """Return a sentence for each setting in the file for ``folder`` that weakens a guard.

    The file may have come with loaded code, so the commands that fill a checkpoint name them. A
    program does not: its author knows the settings.
    """
    file, table, _ = _table(folder)
    return _weaker(str(file), table)


def weaker_in(name: str, text: bytes) -> list[str]:
    """Return the same for the text of a ``pyproject.toml`` called ``name``."""
    return _weaker(name, _parsed(Path(name), text)[0]) if _TABLE in text else []


def _weaker(name: str, table: Mapping[str, object]) -> list[str]:
    sentences = []
    if table.get("on_secrets") == "ignore":
        sentences.append(f'{name} sets on_secrets = "ignore": credentials are not reported.')
    for limit, default in (("max_file_size", MAX_FILE_SIZE), ("max_untracked", MAX_UNTRACKED)):
        value = table.get(limit)
        if isinstance(value, int) and value > default:
            sentences.append(f"{name} sets {limit} = {value}, above the default of {default}.")
    return sentences


def _table(folder: Path) -> tuple[Path, dict[str, object], list[str]]:
    for place in (folder, *folder.parents):
        file = place / _FILE
        try:
            # Reading a pipe may block, and a device may have no end.
            text = file.read_bytes() if file.is_file() else b""
        except OSError:
            text = b""
        if _TABLE in text:
            return file, *_parsed(file, text)
        if os.path.lexists(place / ".git"):  # False, too, for a path that is too long
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
        return {}, [f"{file} could not be read, so [tool.jellyml] is ignored: {error}"]


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
        raise UsageError(f"{name}={value!r} is not a boolean.", "pass True or False.")


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
