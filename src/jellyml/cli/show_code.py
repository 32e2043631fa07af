"""The code inside a checkpoint, as ``jellyml show`` shows it: a list, one file, what changed."""

import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from jellyml.cli import code_view
from jellyml.code.guard import in_words
from jellyml.errors import UsageError, pasteable
from jellyml.files import mode_of
from jellyml.model import CodeFile, Model
from jellyml.remote.address import Place, Remote, place_of
from jellyml.terminal import Terminal, has_colour, is_terminal, safe

_LOOKED_AT = 8000  # bytes in which git looks for a NUL
_LARGE = 1 << 20
_SIGNS = {"program": "*", "symlink": "@", "submodule": " (a submodule)"}


def split(words: str) -> tuple[Place, str | None]:
    """``model.pth:src/net.py`` as the checkpoint and the path in it; a file's own colon counts."""
    place = place_of(words)
    if isinstance(place, Remote):
        before, _, inside = words.rpartition(":")
        # Not that of a port or a password: another host would be asked.
        if "/" not in before.partition("://")[2] or place.is_there():
            return place, None
        return Remote(before), inside
    if not mode_of(place):
        for at, mark in enumerate(words):
            if mark == ":" and mode_of(Path(words[:at])):
                return Path(words[:at]), words[at + 1 :]
    return place, None


def files(model: Model, terminal: Terminal, below: str = "") -> None:
    """One line for each file: its size and its path. Into a pipe the paths alone, as they are."""
    chosen = (file for file in model.inside.files() if file.path.startswith(below))
    if is_terminal(terminal.out):
        terminal.paged(
            f"{in_words(file.size):>9}  {safe(file.path)}{_SIGNS.get(file.kind, '')}"
            for file in chosen
        )
    else:
        terminal.exact(file.path.encode("utf-8", "surrogateescape") + b"\n" for file in chosen)


def one_file(model: Model, path: str, terminal: Terminal) -> None:
    """A file, exact in a pipe and harmless on a terminal; or what lies below a folder."""
    name = path.removeprefix("./").rstrip("/")
    file = model.files.get(name)
    if file is None:
        below = f"{name}/" if name else ""
        if not any(each.startswith(below) for each in model.files):
            raise _missing(model, name)
        files(model, terminal, below)
    elif is_terminal(terminal.out):
        _on_terminal(file, model, terminal)
    else:
        terminal.exact(file.chunks())


def patch(model: Model, terminal: Terminal) -> None:
    """What had been changed since the last commit."""
    pieces = model.patch()
    first = next(pieces, b"")
    if not first:
        terminal.note("Nothing had been changed since the last commit.")
    show_difference(chain([first], pieces), terminal)


def show_difference(pieces: Iterable[bytes], terminal: Terminal) -> None:
    """Exact in a pipe; on a terminal as git would page and colour it, and harmless."""
    if is_terminal(terminal.out):
        lines = code_view.lines_of(pieces)
        terminal.paged(code_view.difference(lines, colour=has_colour(terminal.out)))
    else:
        terminal.exact(pieces)


def _on_terminal(file: CodeFile, model: Model, terminal: Terminal) -> None:
    pieces = file.chunks()
    first = next(pieces, b"")
    if b"\0" in first[:_LOOKED_AT]:
        terminal.note(
            f"{file.path} is no text ({in_words(file.size)}). Into a file it comes as it is:"
            f" jellyml show {pasteable(f'{model.path}:{file.path}')} > FILE"
        )
        return
    lines: Iterator[str] = code_view.lines_of(chain([first], pieces))
    if file.size <= _LARGE:
        colour = has_colour(sys.stdout)
        lines = iter(code_view.highlighted(file.path, list(lines), colour=colour))
    terminal.paged(lines)


def _missing(model: Model, name: str) -> UsageError:
    meant = get_close_matches(name, list(model.files)[:10_000], n=1)
    place = f"{model.path}:{meant[0]}" if meant else ""
    return UsageError(
        f"The code in {model.path} holds no {name!r}.",
        f"jellyml show {pasteable(place)}"
        if meant
        else f"jellyml show {pasteable(model.path)} --files",
    )
