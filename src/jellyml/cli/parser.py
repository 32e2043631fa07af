"""The argument parser of a command, and the options that several commands share."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from jellyml.budget import Budget
from jellyml.cli.terminal import Terminal, has_colour, is_terminal
from jellyml.cli.views import art
from jellyml.errors import UsageError
from jellyml.fs.paths import path_of
from jellyml.remote.address import parse_location

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

NO_DONUT = ("--no_donut", "--no-donut")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviations, whose errors are UsageErrors.

    Its help shows the command's picture on a terminal.
    """

    plain = False

    def __init__(self, prog: str, description: str = "", **more: Any) -> None:
        super().__init__(
            prog,
            description=description.strip(),
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **more,
        )
        if sys.version_info >= (3, 14):
            self.color = False

    def error(self, message: str) -> NoReturn:
        raise UsageError(message[:1].upper() + message[1:] + ".", f"{self.prog} -h")

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        text = self.format_help()
        command = self.prog.split()[1]
        if not self.plain and shows_pictures():
            picture = art.picture(command, colour=has_colour(sys.stdout))
            text = f"{picture}\n\n{text}\n{art.clue(command)}\n"
        Terminal().result(text.rstrip("\n"))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Show each option on one line, ``-c, --code_dir DIR``, without its other spellings."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        names = ", ".join(action.option_strings[:2])
        return f"{names} {self._format_args(action, action.dest.upper())}"


def shows_pictures() -> bool:
    """Return whether standard output is a terminal that can show the pictures."""
    return is_terminal(sys.stdout) and art.is_drawable(sys.stdout.encoding)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command."""
    parser.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="print only results, warnings and errors",
    )
    parser.add_argument(*NO_DONUT, action="store_true", help="no pictures in the help")


def add_code_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--code_dir",
        "--code-dir",
        type=path_of,
        default=Path(),
        metavar="DIR",
        help="a folder in the repository of your code (default: the current folder)",
    )


def add_paths(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        type=parse_location,
        default=[Path()],
        metavar="PATH",
        help="a checkpoint, a folder of checkpoints, or an address of either (default: here)",
    )


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        type=parse_location,
        metavar="model_file",
        help="a checkpoint that carries code: file, folder or address",
    )


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask for confirmation")


def add_follow_links(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--follow-links",
        action="store_true",
        help="also follow a symbolic link, or write to a file that has several hard links",
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace a file that JellyML did not write, or a symbolic link",
    )


def add_max_unpacked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-unpacked",
        type=size,
        default=size("4GiB"),
        metavar="SIZE",
        help="refuse a snapshot that unpacks to more than SIZE (default: 4GiB)",
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the option of a command that reads checkpoints; ``budget_of`` returns its budget."""
    parser.add_argument(
        "--no-limits",
        action="store_true",
        help="for your own files: no limit of memory and time (default: 256 MiB, about a minute)",
    )


def budget_of(args: argparse.Namespace) -> Budget:
    """Return the budget of the command."""
    return Budget.unlimited() if args.no_limits else Budget()


def size(text: str) -> int:
    """Return a size such as ``500MB`` in bytes. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(I?)B", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500MB or 2GB")
    number, power, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(power or " "))
