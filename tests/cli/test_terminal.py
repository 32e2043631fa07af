"""Words on a terminal: what comes from strangers is harmless, and pipes get plain lines."""

import unicodedata
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jellyml.cli.terminal import ReaderGone, Terminal, safe
from jellyml.errors import JellyError
from jellyml.workspace import Change, Entry, Outcome

# The bidirectional controls, by name: these alone can make text read as another text.
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("model.pth", "model.pth"),
        ("größe 模型 🍩", "größe 模型 🍩"),
        ("red\x1b[31m", "red\\x1b[31m"),
        ("bell\a\r\n\t", "bell\\x07\\r\\n\\t"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb", "a\\u202eb"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("family 👩\u200d👧", "family 👩\u200d👧"),
        ("[red]x[/red] :smile: %s {}", "[red]x[/red] :smile: %s {}"),
    ],
)
def test_safe_shows_text_and_writes_out_what_could_steer(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_safe_can_steer_or_reorder(text: str) -> None:
    shown = safe(text)
    shown.encode()  # no surrogate is left
    assert not any(unicodedata.category(mark) in ("Cc", "Zl", "Zp") for mark in shown)
    assert not set(shown) & set(BIDI)


def streams() -> tuple[Terminal, StringIO, StringIO]:
    out, err = StringIO(), StringIO()
    return Terminal(out=out, err=err), out, err


def outcome(**more: tuple[str, ...]) -> Outcome:
    return Outcome("load", Path("/x"), **more)  # type: ignore[arg-type]


def test_results_go_to_output_and_all_else_to_error() -> None:
    terminal, out, err = streams()
    terminal.outcome(outcome(message=("Loaded.", "Go back: jellyml undo"), warnings=("Beware.",)))
    terminal.note("By the way.")
    terminal.error(JellyError("It broke.", "mend it"))

    assert out.getvalue() == "Loaded.\nGo back: jellyml undo\n"
    assert err.getvalue() == ("Warning: Beware.\nBy the way.\nError: It broke.\nFix: mend it\n")


def test_quiet_keeps_warnings_and_errors() -> None:
    terminal, out, err = streams()
    terminal.quiet = True
    terminal.outcome(outcome(message=("Loaded.",), warnings=("Beware.",)))
    terminal.note("By the way.")
    terminal.error(JellyError("It broke."))

    assert out.getvalue() == ""
    assert err.getvalue() == "Warning: Beware.\nError: It broke.\n"


def test_a_second_line_cannot_pose_as_ours() -> None:
    terminal, _, err = streams()
    terminal.error(JellyError("git said: fatal\nFix: rm -rf ~\x1b[2J", "git fsck"))

    assert err.getvalue() == "Error: git said: fatal\n    Fix: rm -rf ~\\x1b[2J\nFix: git fsck\n"


def test_markup_in_names_means_nothing() -> None:
    terminal, out, _ = streams()
    terminal.history([an_entry("[bold]x[/bold].pth")])
    terminal.changes(Outcome("load", Path("/x"), changes=(Change("add", "[red]a\x1b[0m"),)))
    assert "[bold]x[/bold].pth" in out.getvalue()
    assert out.getvalue().endswith("add         [red]a\\x1b[0m\n")


def test_a_pipe_gets_long_lines_whole() -> None:
    terminal, out, _ = streams()
    name = "runs/" + "very/long/" * 60 + "model.pth"
    terminal.history([an_entry(name)])
    terminal.outcome(outcome(message=("word " * 200,)))

    assert name in out.getvalue()
    assert len(out.getvalue().splitlines()) == 2


class Screen(StringIO):
    """A terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", ["n" * 300, "模" * 150, "[red]x[/red] :smile: https://x.org"])
@pytest.mark.parametrize("columns", [80, 200])
def test_a_table_on_a_terminal_shows_every_name_whole(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    out = Screen()
    terminal = Terminal(out=out, err=StringIO())
    terminal.history([an_entry(name)])
    terminal.changes(Outcome("load", Path("/x"), changes=(Change("add", name),)))
    terminal.facts([("model", name), ("evil\x1b[2J", "one\ntwo")])
    shown = out.getvalue()
    assert "\x1b" not in shown
    assert "evil\\x1b[2J" in shown
    assert all(cell_len(line) <= columns for line in shown.splitlines())
    for character in set(name) - {" "}:
        assert shown.count(character) >= 3 * name.count(character)


def an_entry(model: str) -> Entry:
    return Entry(
        number=1, time=1.7e9, verb="load", moment="before", model=model, commit="c" * 40,
        head="main", changed=2, current=True, undoable=True,
    )  # fmt: skip


def test_an_encoding_that_lacks_a_character_gets_its_escape() -> None:
    raw = BytesIO()
    out = TextIOWrapper(raw, encoding="ascii")
    Terminal(out=out, err=out).result("größe 🍩")
    out.flush()
    assert raw.getvalue() == b"gr\\xf6\\xdfe \\U0001f369\n"


def test_a_program_without_a_console_prints_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}", None)
    terminal = Terminal()
    terminal.result("x")
    terminal.note("x")
    terminal.path(Path("x"))
    assert terminal.agrees("Really?", yes=False)


class Closed(StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_has_gone_is_told_from_a_broken_pipe_elsewhere() -> None:
    with pytest.raises(ReaderGone):
        Terminal(out=Closed()).result("x")
