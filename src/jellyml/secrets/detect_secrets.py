"""The search with detect-secrets: it finds secrets by their name or their randomness.

Nothing is sent over the network: no filter asks a service whether a secret is valid.
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TypeAlias

from jellyml.fs import tempdirs

Search: TypeAlias = Callable[[str, bytes], list[tuple[int, str]]]
"""A function of a path and its bytes. It returns the line, from 1, and the kind of each secret."""

MOST = 1 << 20  # bytes of a file that is searched; a larger one is data
_LONGEST_LINE = 5000  # bytes; the time of some of its expressions grows with the square of it
_LONGEST_NAME = 100
# JellyML's setting, whose name looks like that of a secret.
_SETTING = re.compile(rb"\s*on_secrets\s*=")


def is_installed() -> bool:
    """Return True if detect-secrets is installed, without importing it."""
    from importlib.util import find_spec

    return find_spec("detect_secrets") is not None


@contextmanager
def searching() -> Iterator[Search | None]:
    """Yield the search, or None if detect-secrets is not installed."""
    try:
        with _warnings_unchanged():
            from detect_secrets.core.secrets_collection import SecretsCollection
            from detect_secrets.settings import default_settings
    except ImportError:
        yield None
        return
    with tempdirs.folder() as place, default_settings():

        def search(path: str, content: bytes) -> list[tuple[int, str]]:
            name = PurePosixPath(path).name  # detect-secrets tells the language by the name
            file = place / (name if len(name) < _LONGEST_NAME and name.isprintable() else "file")
            file.write_bytes(content)
            secrets = SecretsCollection()
            secrets.scan_file(str(file))
            file.unlink()
            lines = content.split(b"\n") if secrets else []
            places = sorted((one.line_number, one.type) for _, one in secrets)
            return [place for place in places if not _SETTING.match(lines[place[0] - 1])]

        yield search


@contextmanager
def _warnings_unchanged() -> Iterator[None]:
    """Undo what its import does: it redirects every warning of the process to its own log."""
    before = warnings.showwarning
    try:
        yield
    finally:
        if warnings.showwarning is not before:
            logging.captureWarnings(False)


def is_fit(content: bytes) -> bool:
    """Return True for text whose size and lines are small enough to search."""
    if len(content) > MOST or b"\0" in content:
        return False
    return max(map(len, content.split(b"\n"))) <= _LONGEST_LINE
