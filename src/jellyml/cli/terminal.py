"""Print results and messages: the only module that prints.

Results go to standard output, everything else to standard error. Text from a checkpoint, a file
name or git may contain terminal escapes: ``safe`` replaces control and bidirectional characters
with visible escapes. Output to a pipe is neither wrapped nor coloured. On a terminal rich draws
tables and wraps long text.
"""

import json
import os
import sys
import time
import unicodedata
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO, TypeVar

from jellyml.cli import console
from jellyml.cli.console import Labelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from rich.console import RenderableType
    from rich.progress import Progress
    from rich.table import Table

    from jellyml.errors import JellyError
    from jellyml.workspace.results import Entry, Finding, Outcome

# The colours of one line are escape codes: a one-line result is printed without rich.
_RED, _YELLOW, _GREEN, _BOLD = "31", "33", "32", "1"
_PATIENCE = 1.0  # seconds before a progress bar is shown
_BATCH = 500  # rows of a table: a long list begins to appear before all of it is laid out
_STYLES = {"add": "green", "modify": "yellow", "delete": "red", "move aside": "yellow"}
# Some scripts and most emoji need the two joiners. Every other format character is escaped,
# since it can hide text.
_JOINERS = "\u200c\u200d"
_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


T = TypeVar("T")


class ReaderGone(Exception):
    """The reader of standard output closed the pipe (``jellyml history | head``)."""


def safe(text: str) -> str:
    """Return the text with characters that control a terminal, or hide text, as escapes."""
    return text if text.isprintable() else "".join(map(_visible, text))


def shown(text: str) -> str:
    """Return the safe text with every credential masked, for a name, a message or a listing."""
    from jellyml.secrets.search import masked_text  # late: --help needs no table of forms

    return safe(masked_text(text))


def _visible(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ESCAPED:
        return character
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class Terminal:
    """The terminal of one command: two streams to write to and one to read answers from."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        source: TextIO | None = None,
    ) -> None:
        # Looked up now, not at import: tests and notebooks replace these streams.
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.source = source or sys.stdin
        self.quiet = quiet

    # Results.

    def result(self, text: str = "") -> None:
        """Print a line of the result, with ``-q`` too."""
        _write(self.out, text + "\n")

    def json(self, value: object) -> None:
        """Print a value as JSON, with every credential masked."""
        from jellyml.secrets.search import masked_tree

        self.result(json.dumps(masked_tree(value), indent=2))

    def path(self, path: Path) -> None:
        """Print a path: its exact bytes to a pipe, escaped on a terminal."""
        raw = getattr(self.out, "buffer", None)
        if raw is None or is_terminal(self.out):
            self.result(safe(str(path)))
        else:
            self.out.flush()
            raw.write(os.fsencode(path) + b"\n")

    def exact(self, pieces: "Iterable[bytes]") -> None:
        """Write bytes unchanged to a pipe or a file. Callers never use it for a terminal."""
        raw = getattr(self.out, "buffer", None)
        for piece in pieces:
            if raw is None:
                self.result(piece.decode("utf-8", "replace"))
            else:
                _put(raw, piece)

    def painted(self, text: str, code: str) -> str:
        """Return the text in a colour if standard output is a terminal that shows colours."""
        return _painted(text, code, self.out)

    def paged(self, lines: "Iterable[str]") -> None:
        """Print many lines through git's pager on a terminal. The caller has made them safe."""
        if self.out is sys.stdout and is_terminal(self.out) and which("git"):
            from jellyml.repo.interactive import page

            self.flush()
            page(lines, self.out.encoding)
        else:
            for line in lines:
                self.result(line)

    def shows(self, text: str) -> bool:
        """Return whether the encoding of standard output has all characters of the text."""
        try:
            text.encode(getattr(self.out, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def drawn(self, *parts: "RenderableType") -> "Iterator[str]":
        """Yield the lines of tables and texts, as wide as the terminal."""
        screen = console.console(self.out, colour=has_colour(self.out))
        for part in parts:
            with screen.capture() as capture:
                screen.print(part)
            yield from map(str.rstrip, capture.get().removesuffix("\n").split("\n"))

    def two_columns(
        self, rows: "Iterable[Labelled]", width: int, align: Literal["left", "right"] = "left"
    ) -> "Iterator[str]":
        """Yield the lines of labels and texts in two columns, for a terminal."""
        rows = iter(rows)
        while batch := list(islice(rows, _BATCH)):
            yield from self.drawn(console.two_columns(batch, width, align))

    def flush(self) -> None:
        """Flush both streams, before another program writes to them or this one exits."""
        _write(self.out, "", flush=True)
        _write(self.err, "", flush=True)

    def outcome(self, outcome: "Outcome") -> None:
        """Print what a command did to the workspace."""
        self.done(*outcome.message)
        self.warnings(outcome.warnings)

    def done(self, *sentences: str) -> None:
        """Print what a command did; the first sentence is bold."""
        if not self.quiet:
            for number, sentence in enumerate(sentences):
                text = _indented(sentence)
                self.result(_painted(text, _BOLD, self.out) if number == 0 else text)

    def heading(self, text: str) -> None:
        """Print a heading."""
        self.result(_painted(_indented(text), _BOLD, self.out))

    def facts(self, facts: "Iterable[tuple[str, str]]") -> None:
        """Print a description: names and their values."""
        if is_terminal(self.out):
            rows = (Labelled(shown(name), _safe_lines(value), "bold") for name, value in facts)
            for line in self.two_columns(rows, 12):
                self.result(line)
        else:
            for name, value in facts:
                self.result(f"{shown(name):<13} {_indented(value)}")

    def changes(self, outcome: "Outcome") -> None:
        """Print what a command would do; only the changes go to standard output."""
        if is_terminal(self.out):
            rows = (
                Labelled(one.kind, shown(one.path), _STYLES[one.kind]) for one in outcome.changes
            )
            for line in self.two_columns(rows, 10):
                self.result(line)
        else:
            for change in outcome.changes:
                self.result(f"{change.kind:<12}{shown(change.path)}")
        if not self.quiet:
            for sentence in outcome.message:
                self.note(sentence)
        self.warnings(outcome.warnings)

    def history(self, entries: "Sequence[Entry]") -> None:
        """Print the entries as a table. No entries give a note, so that a pipe gets nothing."""
        if not entries:
            self.note("Nothing has been loaded here yet.")
        elif is_terminal(self.out):
            for line in self.drawn(_table(entries)):
                self.result(line)
        else:
            for entry in entries:
                self.result("  ".join(_row(entry)))

    def history_json(self, entries: "Sequence[Entry]") -> None:
        records = [asdict(entry) | {"time": _moment(entry).isoformat()} for entry in entries]
        self.json(records)

    def findings(self, findings: "Sequence[Finding]") -> None:
        """Print the findings of ``jellyml doctor``, repaired or not."""
        for finding in findings:
            mark, colour = ("Repaired:", _GREEN) if finding.repaired else ("Open:", _RED)
            if finding.expected:
                mark, colour = "Kept:", _YELLOW
            self.result(f"{_painted(mark, colour, self.out)} {_indented(finding.problem)}")
            if finding.fix:
                self.result(f"Fix: {_indented(finding.fix)}")
        if not findings and not self.quiet:
            self.result("All is well.")

    # Messages.

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

    def progress(self, items: "Iterable[T]", total: int, label: str) -> "Iterator[T]":
        """Yield the items; after one second show a progress bar, if this is a terminal."""
        if self.quiet or not is_terminal(self.err):
            yield from items
            return
        start = time.monotonic()
        bar: Progress | None = None
        try:
            for done, item in enumerate(items, start=1):
                yield item
                if bar is None and time.monotonic() - start > _PATIENCE:
                    bar = console.progress_bar(self.err, colour=has_colour(self.err))
                    task = bar.add_task(label, total=total)
                    bar.start()
                if bar:
                    bar.update(task, completed=done)
        finally:
            if bar:  # without this the cursor stays hidden
                bar.stop()

    @property
    def can_ask(self) -> bool:
        return not self.quiet and is_terminal(self.source) and is_terminal(self.err)

    def agrees(self, question: str, *, yes: bool) -> bool:
        """Return whether to go ahead: with ``yes``, without a terminal, or if the user agrees."""
        if yes or not self.can_ask:
            return True
        _write(self.err, f"{_indented(question)} [y/N] ", flush=True)
        if self.source.readline().strip().lower() in ("y", "yes"):
            return True
        self.note("Nothing was changed.")
        return False


def is_terminal(stream: TextIO | None) -> bool:
    # A replacement stream of a notebook or a test may lack the method; a closed stream raises.
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        return False


def has_colour(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that shows colours, and NO_COLOR is not set."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return False
    if os.name == "nt":  # the old console prints the codes
        return any(name in os.environ for name in ("WT_SESSION", "TERM", "ANSICON", "ConEmuANSI"))
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _painted(text: str, code: str, stream: TextIO | None) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if has_colour(stream) else text


def _indented(text: str) -> str:
    """Return safe, masked text with later lines indented, so that none can imitate a message."""
    return _safe_lines(text).replace("\n", "\n    ")


def _safe_lines(text: str) -> str:
    from jellyml.secrets.search import masked_text

    return "\n".join(map(safe, masked_text(text).strip("\n").split("\n")))


def _write(stream: TextIO | None, text: str, *, flush: bool = False) -> None:
    if stream is None:  # a process without a console
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:  # a character that the stream's encoding lacks
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
    head, model = shown(entry.head), shown(entry.model or "-")
    return number, when, f"{state:<14}", model, f"{head:<8}", f"{commit:<8}", files


def _table(entries: "Sequence[Entry]") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for title in _TITLES:
        if title in ("model", "branch"):
            table.add_column(title, overflow="fold", min_width=8)
        else:
            table.add_column(title, no_wrap=True)
    for entry in entries:
        style = "bold" if entry.current else "" if entry.undoable else "dim"
        table.add_row(*(Text(cell.rstrip(), style=style) for cell in _row(entry)))
    return table
