"""detect-secrets over bytes: secrets without a form of their own, by a name or by looking random.

Nothing is sent anywhere: of its filters none asks a service whether a secret is true.
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
"""A path and its bytes; each line, from 1, and the kind of what is in it."""

MOST = 1 << 20  # bytes of a file; a larger one is data
_LONGEST_LINE = 5000  # bytes; some of its expressions take the square of it
_LONGEST_NAME = 100
# Our own setting is called like one.
_OURS = re.compile(rb"\s*on_secrets\s*=")


def is_installed() -> bool:
    """Whether detect-secrets is; it is not imported for that."""
    from importlib.util import find_spec

    return find_spec("detect_secrets") is not None


@contextmanager
def searching() -> Iterator[Search | None]:
    """The search, or None where detect-secrets is not installed."""
    try:
        with _warnings_left_alone():
            from detect_secrets.core.secrets_collection import SecretsCollection
            from detect_secrets.settings import default_settings
    except ImportError:
        yield None
        return
    with tempdirs.folder() as place, default_settings():

        def search(path: str, content: bytes) -> list[tuple[int, str]]:
            name = PurePosixPath(path).name  # it tells by it what language to expect
            file = place / (name if len(name) < _LONGEST_NAME and name.isprintable() else "file")
            file.write_bytes(content)
            found = SecretsCollection()
            found.scan_file(str(file))
            file.unlink()
            lines = content.split(b"\n") if found else []
            places = sorted((one.line_number, one.type) for _, one in found)
            return [place for place in places if not _OURS.match(lines[place[0] - 1])]

        yield search


@contextmanager
def _warnings_left_alone() -> Iterator[None]:
    """Its import sends every warning of the process to its own log, where nobody hears of them."""
    before = warnings.showwarning
    try:
        yield
    finally:
        if warnings.showwarning is not before:
            logging.captureWarnings(False)


def is_fit(content: bytes) -> bool:
    """Text of a size, and with lines, that the search gets through in time."""
    if len(content) > MOST or b"\0" in content:
        return False
    return max(map(len, content.split(b"\n"))) <= _LONGEST_LINE
