"""Code on a terminal: highlighted, with control characters escaped."""

import re
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, NoReturn

from jellyml.cli.console import console
from jellyml.cli.terminal import safe

if TYPE_CHECKING:
    from rich.text import Text

# Code that is longer, or takes a lexer more time, is shown without colours. Lexers use regular
# expressions, which hostile input can make slow.
_LONGEST = 256 << 10
_SECONDS = 2.0
_LONGEST_LINE = 1 << 16

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
    """Yield the lines of a patch in git's default colours."""
    if not colour:
        yield from lines
        return
    from rich.style import Style

    header, position = Style(bold=True), Style(color="cyan")
    changes = {"+": Style(color="green"), "-": Style(color="red")}
    old = new = 0  # remaining lines of the hunk
    for line in lines:
        hunk = _HUNK.match(line) if not old and not new else None
        if hunk:
            old, new = (int(count or 1) for count in hunk.groups())
            yield f"{position.render(hunk[0])}{line[hunk.end() :]}"
        elif old or new:
            old -= line[:1] in ("-", " ", "")
            new -= line[:1] in ("+", " ", "")
            style = changes.get(line[:1])
            yield style.render(line) if style else line
        else:
            yield line if line.startswith("\\") else header.render(line)


def highlighted(path: str, lines: Sequence[str], *, colour: bool) -> list[str]:
    """Return the lines of a file, highlighted for the language that its name implies."""
    if not colour or sum(map(len, lines)) > _LONGEST:
        return list(lines)
    try:
        with _at_most(_SECONDS):
            text = _coloured(path, "\n".join(lines))
    except (ImportError, _TooLongError):
        return list(lines)
    screen = console(StringIO(), colour=True)
    with screen.capture() as capture:
        screen.print(text, soft_wrap=True, end="")  # neither wrapped nor cut
    return capture.get().removesuffix("\n").split("\n")


def _coloured(path: str, code: str) -> "Text":
    from rich.syntax import Syntax

    lexer = Syntax.guess_lexer(path)
    return Syntax(code, lexer, theme="ansi_dark", tab_size=8).highlight(code)


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
