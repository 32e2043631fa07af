"""Dispatch the words of the command line to a command; turn the result into an exit code."""

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
    """A row of the table of commands; the command itself is in ``jellyml.cli.commands``."""

    name: str
    aliases: tuple[str, ...]
    summary: str

    def module(self) -> "CommandModule":
        # A module is named for the word that a user looks for first.
        name = {"eat": "load", "undonut": "undo"}.get(self.name, self.name)
        return cast("CommandModule", import_module(f"jellyml.cli.commands.{name}"))


class CommandModule(Protocol):
    DESCRIPTION: str

    add_arguments: Callable[[Parser], None]
    # Returns an exit status, or None for 0.
    run: Callable[[Namespace, Terminal], int | None]


COMMANDS = (
    Command("eat", ("load", "load-snapshot-from"), "restore the code of a checkpoint"),
    Command("undonut", ("undo", "return"), "restore the state before the last load"),
    Command("redo", (), "reverse the last undo"),
    Command("restore", (), "restore any state of the history"),
    Command("history", (), "list the recorded states, or prune them"),
    Command("doctor", (), "check JellyML's own data, and repair it"),
    Command("show", (), "describe the code in a checkpoint"),
    Command("list", (), "find checkpoints and the code of each"),
    Command("diff", (), "compare code, environment and weights"),
    Command("log", (), "show how checkpoints descend"),
    Command("fill", (), "put the code into a checkpoint"),
    Command("record", (), "run a command, fill its checkpoints"),
    Command("strip", (), "remove the code from a checkpoint"),
    Command("check", (), "search for secrets before publishing"),
    Command("git", (), "use git on the code inside a checkpoint"),
    Command("fix", (), "rarely needed: undo stack, bundle files"),
)
# ``git`` is not listed: the git command after it may write.
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
    """Run one command line and return its exit code. Raises nothing."""
    try:
        status = _status(words)
    except ReaderGone:  # the reader closed the pipe; that is not an error
        status = 0
    _flush_at_exit()
    return status


def _flush_at_exit() -> None:
    """Flush both streams; redirect them to the null device if that fails.

    Python flushes them again at exit and would print the same failure as a traceback.
    """
    try:
        Terminal().flush()
    except (ReaderGone, OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in filter(None, (sys.stdout, sys.stderr)):
            os.dup2(null, stream.fileno())


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
    from_picture = art.command_drawn(words)
    if from_picture:
        words = [from_picture[0], *from_picture[1]]
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
    with _show_warnings(terminal):
        return command.module().run(arguments, terminal) or 0


@contextmanager
def _show_warnings(terminal: Terminal) -> Iterator[None]:
    """Print each JellyWarning like the other messages of a command, repeated ones too."""
    default = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        if issubclass(category, JellyWarning):
            terminal.warnings([str(message)])
        else:
            default(message, category, *rest, **named)

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
    """Return the command of this name or alias.

    Raises UsageError, which suggests a similar command if that one only reads.
    """
    names = {name: row for row in COMMANDS for name in (row.name, *row.aliases)}
    if word in names:
        return names[word]
    kind = "option" if word.startswith("-") else "command"
    from difflib import get_close_matches

    similar = get_close_matches(word, names, n=1)
    # The user may paste a hint unread, so only commands that change nothing are suggested.
    only_reads = bool(similar) and names[similar[0]].name in _READ_ONLY
    raise UsageError(
        f"There is no {kind} {word!r}.", f"jellyml {similar[0] if only_reads else '-h'}"
    )


def show_help(*, plain: bool) -> None:
    terminal = Terminal()
    if plain or not shows_pictures():
        head: Sequence[str] = (*ESSENTIALS, "")
    else:
        head = art.join_donut(ESSENTIALS, colour=has_colour(sys.stdout))
    for line in (*head, "Commands (more with jellyml COMMAND -h; jelly and jly do the same):"):
        terminal.result(line)
    for row in COMMANDS:
        names = ", ".join((row.name, *row.aliases))
        terminal.result(f"  {names:<32}{row.summary}")
    terminal.result("Options: -h, --help; --version; --no_donut (help without pictures)")


def explain(problem: Exception) -> int:
    """Print an error with its fix, and return the exit code."""
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
            "please report it, with the output of this command when JELLYML_TRACEBACK=1 is set "
            "in the environment.",
        )
        error.exit_code = 70
    Terminal().error(error)
    return error.exit_code
