"""Code on a terminal: highlighted, with control characters escaped."""

import re
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from jellyml.cli.terminal import safe

if TYPE_CHECKING:
    from rich.text import Text

# Code that is longer, or takes a lexer more time, is shown without colours. Lexers use regular
# expressions, which hostile input can make slow.
_LONGEST = 256 << 10
_SECONDS = 2.0
_LONGEST_LINE = 1 << 16

# git's default colours of a patch.
_BOLD, _RED, _GREEN, _CYAN = "1", "31", "32", "36"
_OF_LINES = {"+": _GREEN, "-": _RED}
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")


def lines_of(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield safe lines without line ends. A very long line comes in parts; tabs are kept."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from map(_line, lines)
        while len(rest) > _LONGEST_LINE:
            yield _line(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
    if rest:
        yield _line(rest)


def _line(line: bytes) -> str:
    text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    return "\t".join(map(safe, text.split("\t")))


def difference(lines: Iterable[str], *, colour: bool) -> Iterator[str]:
    """Yield the lines of a patch in git's colours."""
    if not colour:
        yield from lines
        return
    old = new = 0  # remaining lines of the hunk
    for line in lines:
        hunk = _HUNK.match(line) if not old and not new else None
        if hunk:
            old, new = (int(count or 1) for count in hunk.groups())
            yield f"\x1b[{_CYAN}m{hunk[0]}\x1b[0m{line[hunk.end() :]}"
        elif old or new:
            old -= line[:1] in ("-", " ", "")
            new -= line[:1] in ("+", " ", "")
            code = _OF_LINES.get(line[:1])
            yield f"\x1b[{code}m{line}\x1b[0m" if code else line
        else:
            yield line if line.startswith("\\") else f"\x1b[{_BOLD}m{line}\x1b[0m"


def highlighted(path: str, lines: Sequence[str], *, colour: bool) -> list[str]:
    """Return the lines of a file, highlighted for the language that its name implies."""
    if not colour or sum(map(len, lines)) > _LONGEST:
        return list(lines)
    try:
        with _at_most(_SECONDS):
            text = _coloured(path, "\n".join(lines))
    except (ImportError, _TooLongError):
        return list(lines)
    return _as_codes(text)


def _coloured(path: str, code: str) -> "Text":
    from rich.syntax import Syntax

    lexer = Syntax.guess_lexer(path)
    return Syntax(code, lexer, theme="ansi_dark", tab_size=8).highlight(code)


def _as_codes(text: "Text") -> list[str]:
    """Return lines with escape codes, without the wrapping of a rich console."""
    from rich.console import Console

    console = Console(force_terminal=True, color_system="standard", width=_LONGEST)
    rendered = []
    for line in text.split("\n", allow_blank=False):
        pieces = line.render(console, end="")
        rendered.append(
            "".join(
                style.render(piece, color_system=console._color_system) if style else piece
                for piece, style, _ in pieces
            )
        )
    return rendered


class _TooLongError(Exception): ...


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Limit the time of the block by an alarm signal, if the system has one and it is unused."""
    usable = (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getitimer(signal.ITIMER_REAL)[0] == 0
    )
    if not usable:
        yield
        return
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _too_long(*_: object) -> NoReturn:
    raise _TooLongError
