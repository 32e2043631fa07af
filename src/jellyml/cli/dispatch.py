"""From words to a command, and from whatever happens to an exit code."""

import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple, Protocol, cast

from jellyml._version import __version__
from jellyml.cli.parser import NO_DONUT, Parser, add_common, shows_pictures
from jellyml.cli.terminal import ReaderGone, Terminal, has_colour
from jellyml.cli.views import art
from jellyml.errors import JellyError, JellyWarning, UsageError


class Command(NamedTuple):
    """A row of the table; its module in ``jellyml.cli.commands`` does the rest."""

    name: str
    aliases: tuple[str, ...]
    summary: str

    def module(self) -> "CommandModule":
        # A module has the first word that a user would look for.
        name = {"eat": "load", "undonut": "undo"}.get(self.name, self.name)
        return cast("CommandModule", import_module(f"jellyml.cli.commands.{name}"))


class CommandModule(Protocol):
    DESCRIPTION: str

    add_arguments: Callable[[Parser], None]
    # None, or the exit status of another program to be passed on.
    run: Callable[[Namespace, Terminal], int | None]


COMMANDS = (
    Command("eat", ("load", "load-snapshot-from"), "bring the code of a checkpoint back"),
    Command("undonut", ("undo", "return"), "go back to how things were before it"),
    Command("redo", (), "take the last undo back"),
    Command("restore", (), "go to any state of the history"),
    Command("history", (), "show every state there was, or prune them"),
    Command("doctor", (), "check what JellyML keeps, and mend it"),
    Command("show", (), "describe the code in a checkpoint"),
    Command("list", (), "find checkpoints, and what code made each"),
    Command("diff", (), "compare code, environment and weights"),
    Command("log", (), "show how checkpoints come from one another"),
    Command("fill", (), "put the code into a checkpoint"),
    Command("record", (), "run a command, fill what it writes"),
    Command("strip", (), "take the code out of a checkpoint"),
    Command("check", (), "look for secrets before you publish"),
    Command("git", (), "use git on the code inside a checkpoint"),
    Command("fix", (), "rarely needed: history and bundle files"),
)
# ``git`` is not one of them: what it does is for the words after it to say.
_READ_ONLY = ("show", "list", "diff", "log", "check")

ESSENTIALS = (
    f"JellyML {__version__}: your code in your model.",
    "",
    "Save, in Python:",
    "  snapshot = jellyml.create_snapshot()",
    '  torch.save({..., **snapshot}, "model.pth")',
    "Load, in your project's folder:",
    "  jellyml load model.pth",
    "Go back:",
    "  jellyml undo",
)


def run(words: Sequence[str]) -> int:
    """Run what the words say and return the exit code; no exception leaves."""
    try:
        status = _status(words)
    except ReaderGone:  # they have seen enough
        status = 0
    _let_go()
    return status


def _let_go() -> None:
    """What cannot be written now would fail once more, and loudly, when Python ends."""
    try:
        Terminal().flush()
    except (ReaderGone, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            os.dup2(nowhere, stream.fileno())


def _status(words: Sequence[str]) -> int:
    try:
        status = _command(list(words))
        Terminal().flush()
    except ReaderGone:
        raise
    except KeyboardInterrupt:
        Terminal().note("Interrupted. If a load or undo was under way: jellyml doctor")
        return 130
    except Exception as problem:  # noqa: BLE001 - a user never sees a traceback
        return explain(problem)
    return status


def _command(words: list[str]) -> int:
    drawn = art.command_drawn(words)
    if drawn:
        words = [drawn[0], *drawn[1]]
    plain = any(word in NO_DONUT for word in words)
    while words and words[0] in NO_DONUT:
        words.pop(0)
    if not words or words[0] in ("-h", "--help"):
        show_help(plain=plain)
        return 0
    if words[0] == "--version":
        Terminal().result(f"jellyml {__version__}")
        return 0
    command = find(words[0])
    try:
        arguments = parser_of(command, plain=plain).parse_args(words[1:])
    except SystemExit:  # argparse has shown the help
        return 0
    terminal = Terminal(quiet=arguments.quiet)
    with _warnings_told(terminal):
        return command.module().run(arguments, terminal) or 0


@contextmanager
def _warnings_told(terminal: Terminal) -> Iterator[None]:
    """Our own warnings look like all that a command says, and each of them is told."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, JellyWarning):
            terminal.warnings([str(message)])
        else:
            shown(message, category, *rest, **named)

    with warnings.catch_warnings():
        warnings.simplefilter("always", JellyWarning)
        warnings.showwarning = show
        yield


def parser_of(command: Command, *, plain: bool = False) -> Parser:
    module = command.module()
    parser = Parser(f"jellyml {command.name}", module.DESCRIPTION)
    parser.plain = plain
    add_common(parser)
    module.add_arguments(parser)
    return parser


def find(word: str) -> Command:
    """The command of this name or alias; a UsageError may name one that only reads instead."""
    names = {name: row for row in COMMANDS for name in (row.name, *row.aliases)}
    if word in names:
        return names[word]
    kind = "option" if word.startswith("-") else "command"
    from difflib import get_close_matches

    meant = get_close_matches(word, names, n=1)
    # A hint may be pasted unread: none changes anything.
    harmless = bool(meant) and names[meant[0]].name in _READ_ONLY
    raise UsageError(f"There is no {kind} {word!r}.", f"jellyml {meant[0] if harmless else '-h'}")


def show_help(*, plain: bool) -> None:
    terminal = Terminal()
    if plain or not shows_pictures():
        head: Sequence[str] = (*ESSENTIALS, "")
    else:
        head = art.beside_donut(ESSENTIALS, colour=has_colour(sys.stdout))
    for line in (*head, "Commands (more with jellyml COMMAND -h; jelly and jly do the same):"):
        terminal.result(line)
    for row in COMMANDS:
        names = ", ".join((row.name, *row.aliases))
        terminal.result(f"  {names:<32}{row.summary}")
    terminal.result("Options: -h, --help; --version; --no_donut (help without pictures)")


def explain(problem: Exception) -> int:
    """Say what went wrong in the words a user can act on, and return the exit code."""
    if os.environ.get("JELLYML_TRACEBACK"):
        import traceback

        traceback.print_exception(problem)
    if isinstance(problem, JellyError):
        error = problem
    elif isinstance(problem, OSError):
        place = f": {problem.filename}" if problem.filename else ""
        error = JellyError(f"{problem.strerror or problem}{place}.")
    else:
        error = JellyError(
            f"JellyML made a mistake of its own ({type(problem).__name__}: {problem}).",
            "please report it, with what this command prints after JELLYML_TRACEBACK=1 is set "
            "in the environment.",
        )
        error.exit_code = 70
    Terminal().error(error)
    return error.exit_code
