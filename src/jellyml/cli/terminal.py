"""Turn results into words: the only module that prints.

Results go to standard output, all else to standard error. What comes from a checkpoint,
a file name or git is never trusted to be harmless on a terminal: ``safe`` writes control
and bidirectional characters out as escapes. Nothing printed to a pipe is wrapped or coloured.
"""

import json
import os
import sys
import time
import unicodedata
from dataclasses import asdict
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, BinaryIO, TextIO, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from rich.progress import Progress

    from jellyml.errors import JellyError
    from jellyml.workspace.results import Change, Entry, Finding, Outcome

_RED, _YELLOW, _GREEN, _BOLD = "31", "33", "32", "1"
_PATIENCE = 1.0  # seconds; what is done by then needs no bar
_COLOUR_OF_CHANGE = {"add": _GREEN, "modify": _YELLOW, "delete": _RED, "move aside": _YELLOW}
# Some scripts and most emoji need the two joiners; every other format character can only hide.
_JOINERS = "\u200c\u200d"
_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


T = TypeVar("T")


class ReaderGone(Exception):
    """Whoever read our output has stopped reading (``jellyml history | head``)."""


def safe(text: str) -> str:
    """The text with all that could steer a terminal, or hide in it, written out as escapes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ESCAPED:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class Terminal:
    """Where one command speaks: two streams to write to and one to ask."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        source: TextIO | None = None,
    ) -> None:
        # Looked up now, not at import: tests and notebooks exchange these streams.
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.source = source or sys.stdin
        self.quiet = quiet

    # Results.

    def result(self, text: str = "") -> None:
        """A line that was asked for, printed even with ``-q``."""
        _write(self.out, text + "\n")

    def path(self, path: Path) -> None:
        """A path: byte for byte into a pipe, harmless on a terminal."""
        raw = getattr(self.out, "buffer", None)
        if raw is None or is_terminal(self.out):
            self.result(safe(str(path)))
        else:
            self.out.flush()
            raw.write(os.fsencode(path) + b"\n")

    def exact(self, pieces: "Iterable[bytes]") -> None:
        """Bytes as they are, for a pipe or a file; never for a terminal."""
        raw = getattr(self.out, "buffer", None)
        for piece in pieces:
            if raw is None:
                self.result(piece.decode("utf-8", "replace"))
            else:
                _put(raw, piece)

    def painted(self, text: str, code: str) -> str:
        """The text in a colour, where results go to a terminal that shows it."""
        return _painted(text, code, self.out)

    def paged(self, lines: "Iterable[str]") -> None:
        """Many lines, made safe by who made them: as git would show them on a terminal."""
        if self.out is sys.stdout and is_terminal(self.out) and which("git"):
            from jellyml.repo.interactive import page

            self.flush()
            page(lines, self.out.encoding)
        else:
            for line in lines:
                self.result(line)

    def flush(self) -> None:
        """Hand everything on, before another program writes to the same place or we end."""
        _write(self.out, "", flush=True)
        _write(self.err, "", flush=True)

    def outcome(self, outcome: "Outcome") -> None:
        """What a command did to the workspace."""
        self.done(*outcome.message)
        self.warnings(outcome.warnings)

    def done(self, *sentences: str) -> None:
        """What a command did; the first sentence is the news."""
        if not self.quiet:
            for number, sentence in enumerate(sentences):
                text = _indented(sentence)
                self.result(_painted(text, _BOLD, self.out) if number == 0 else text)

    def heading(self, text: str) -> None:
        """A line that names what follows."""
        self.result(_painted(_indented(text), _BOLD, self.out))

    def fact(self, name: str, value: str) -> None:
        """One line of a description."""
        self.result(f"{_painted(f'{safe(name):<13}', _BOLD, self.out)} {_indented(value)}")

    def changes(self, outcome: "Outcome") -> None:
        """What a command would do, and nothing else, on standard output."""
        for change in outcome.changes:
            self.result(self._change(change))
        if not self.quiet:
            for sentence in outcome.message:
                self.note(sentence)
        self.warnings(outcome.warnings)

    def _change(self, change: "Change") -> str:
        kind = _painted(f"{change.kind:<12}", _COLOUR_OF_CHANGE[change.kind], self.out)
        return kind + safe(change.path)

    def history(self, entries: "Sequence[Entry]") -> None:
        """The entries as a table; none at all is a note, so that a pipe gets nothing."""
        if not entries:
            self.note("Nothing has been loaded here yet.")
        elif is_terminal(self.out):
            _show_table(self.out, entries)
        else:
            for entry in entries:
                self.result("  ".join(_row(entry)))

    def history_json(self, entries: "Sequence[Entry]") -> None:
        records = [asdict(entry) | {"time": _moment(entry).isoformat()} for entry in entries]
        self.result(json.dumps(records, indent=2))

    def findings(self, findings: "Sequence[Finding]") -> None:
        """What the doctor found not to be as it should, mended or not."""
        for finding in findings:
            mark, colour = ("Mended:", _GREEN) if finding.repaired else ("Open:", _RED)
            if finding.expected:
                mark, colour = "Kept:", _YELLOW
            self.result(f"{_painted(mark, colour, self.out)} {_indented(finding.problem)}")
            if finding.fix:
                self.result(f"Fix: {_indented(finding.fix)}")
        if not findings and not self.quiet:
            self.result("All is well.")

    # All else.

    def note(self, sentence: str) -> None:
        if not self.quiet:
            _write(self.err, _indented(sentence) + "\n")

    def warnings(self, sentences: "Iterable[str]") -> None:
        for sentence in sentences:
            label = _painted("Warning:", _YELLOW, self.err)
            _write(self.err, f"{label} {_indented(sentence)}\n")

    def error(self, error: "JellyError") -> None:
        label = _painted("Error:", _RED, self.err)
        _write(self.err, f"{label} {_indented(error.problem)}\n")
        if error.fix:
            _write(self.err, f"Fix: {_indented(error.fix)}\n")

    def progress(self, things: "Iterable[T]", total: int, doing: str) -> "Iterator[T]":
        """The things one by one; on a terminal with a bar, from when it has taken a second."""
        if self.quiet or not is_terminal(self.err):
            yield from things
            return
        began = time.monotonic()
        bar: Progress | None = None
        try:
            for done, thing in enumerate(things, start=1):
                yield thing
                if bar is None and time.monotonic() - began > _PATIENCE:
                    bar = _bar(self.err)
                    task = bar.add_task(doing, total=total)
                    bar.start()
                if bar:
                    bar.update(task, completed=done)
        finally:
            if bar:  # or the cursor stays hidden
                bar.stop()

    @property
    def can_ask(self) -> bool:
        return not self.quiet and is_terminal(self.source) and is_terminal(self.err)

    def agrees(self, question: str, *, yes: bool) -> bool:
        """True to go ahead: told so beforehand, or nobody there to ask, or asked and agreed."""
        if yes or not self.can_ask:
            return True
        _write(self.err, f"{_indented(question)} [y/N] ", flush=True)
        if self.source.readline().strip().lower() in ("y", "yes"):
            return True
        self.note("Nothing was changed.")
        return False


def is_terminal(stream: TextIO | None) -> bool:
    # A notebook's or a test's stand-in for a stream may lack the method; a closed stream raises.
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        return False


def has_colour(stream: TextIO | None) -> bool:
    """A terminal that shows colours, whose user did not switch them off."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return False
    if os.name == "nt":  # the old console prints the codes
        return any(name in os.environ for name in ("WT_SESSION", "TERM", "ANSICON", "ConEmuANSI"))
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _painted(text: str, code: str, stream: TextIO | None) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if has_colour(stream) else text


def _indented(text: str) -> str:
    """Made safe; a second line is indented, so that none can pose as one of ours."""
    return "\n    ".join(safe(line) for line in text.strip("\n").split("\n"))


def _write(stream: TextIO | None, text: str, *, flush: bool = False) -> None:
    if stream is None:  # a program without a console
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:  # a name that the stream's encoding lacks
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        if flush:
            stream.flush()
    except BrokenPipeError as problem:
        raise ReaderGone from problem


def _put(stream: BinaryIO, piece: bytes) -> None:
    try:
        stream.write(piece)
    except BrokenPipeError as problem:
        raise ReaderGone from problem


def _moment(entry: "Entry") -> "datetime":
    from datetime import datetime, timezone

    return datetime.fromtimestamp(entry.time, timezone.utc)


_TITLES = ("", "when", "state", "model", "branch", "code", "differed")


def _row(entry: "Entry") -> tuple[str, ...]:
    number = f"{'*' if entry.current else ' '}{entry.number:>4}"
    when = _moment(entry).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    state = f"{entry.moment} {entry.verb}"
    commit = (entry.commit or "-")[:8]
    files = f"{entry.changed} path{'' if entry.changed == 1 else 's'}"
    head, model = safe(entry.head), safe(entry.model or "-")
    return number, when, f"{state:<14}", model, f"{head:<8}", f"{commit:<8}", files


def _bar(stream: TextIO) -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(file=stream), transient=True)


def _show_table(stream: TextIO, entries: "Sequence[Entry]") -> None:
    """Only here a terminal's width matters, so only here rich is worth its start-up time."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in _TITLES:
        table.add_column(title, overflow="fold", no_wrap=title not in ("model",))
    for entry in entries:
        style = "bold" if entry.current else "" if entry.undoable else "dim"
        # Text, not str: rich reads markup out of a str.
        table.add_row(*(Text(cell.rstrip(), style=style) for cell in _row(entry)))
    Console(file=stream, highlight=False).print(table)
