"""``jellyml record``: run a command, and fill the checkpoints that it writes."""

from argparse import Namespace
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from jellyml.capture.settings import weaker_settings
from jellyml.cli.parser import Parser, add_code_dir
from jellyml.cli.terminal import ReaderGone, Terminal
from jellyml.errors import UsageError
from jellyml.fs.paths import path_of
from jellyml.recorder.fill_outputs import Result
from jellyml.recorder.process import NotStarted, end_by_same_signal
from jellyml.recorder.recorder import Recorded, record, resume
from jellyml.snapshot.facts import format_size

DESCRIPTION = """
Run a command in any language, without a change to its code. The code is captured at the
start. When the command has ended, the checkpoints that it wrote below the current folder are
filled, as by jellyml fill. Streams, keys, signals and exit status are those of the command,
and an error of the capture or the filling does not affect them.

Hidden folders, environments and links to files are skipped, and so is a checkpoint that the
run itself filled. A summary at the end lists what was filled, and what was not and why.

examples:
  jellyml record -- python train.py --lr 0.1
  jellyml record --watch /scratch/run7 -- ./train.sh
  jellyml record --live -- python train.py    fill finished checkpoints while it runs
  jellyml record --resume                     finish killed records of this repository
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="COMMAND", help="the command and its arguments, after --"
    )
    parser.add_argument(
        "--watch",
        action="append",
        type=path_of,
        metavar="DIR",
        help="where it writes its checkpoints (default: here); can be repeated",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="fill each complete checkpoint while the command runs, by copy and rename",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="finish what a killed jellyml record left: checkpoints in this repository's"
        " working tree, and in each --watch DIR",
    )
    add_code_dir(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    if args.resume:
        return _resume(args, terminal)
    if not args.words:
        raise UsageError("There is no command to run.", "jellyml record -- python train.py")
    folders = args.watch or [Path()]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder.", f"mkdir -p {folder}")
    terminal.warnings(weaker_settings(args.code_dir.absolute()))
    terminal.flush()
    try:
        recorded = record(
            args.words, code_dir=args.code_dir, folders=folders, live=args.live, say=terminal.note
        )
    except NotStarted as problem:
        terminal.error(problem)
        return problem.exit_code
    with suppress(OSError, ReaderGone):  # the reader of the pipe may have ended with the command
        _tell(recorded, terminal)
        terminal.flush()
    return end_by_same_signal(recorded.status)


def _resume(args: Namespace, terminal: Terminal) -> int:
    if args.words or args.live:
        raise UsageError(
            "--resume takes no command.", "jellyml record --resume, or with --watch DIR"
        )
    done = resume(args.code_dir, args.watch or ())
    if not done:
        terminal.note("There is nothing to finish.")
    for recorded in done:
        _tell(recorded, terminal)
    return int(any(one.kind == "not filled" for each in done for one in each.results))


def _tell(recorded: Recorded, terminal: Terminal) -> None:
    """Print the summary to standard error, apart from the output of the command."""
    terminal.warnings(recorded.problems)
    by_kind = {kind: list(_of(kind, recorded.results)) for kind in ("filled", "own", "not filled")}
    filled = by_kind["filled"]
    if filled:
        size = format_size(max(one.size for one in filled))
        code = f"commit {recorded.commit[:8]}" if recorded.commit else "the code"
        terminal.note(f"{_checkpoints(filled)} {code}, {size} each:")
    for one in filled:
        terminal.note(f"  {_shown(one.path)}")
    for one in by_kind["own"]:
        terminal.note(f"{_shown(one.path)} was left alone: the run put its code there itself.")
    for one in by_kind["not filled"]:
        terminal.warnings([f"{_shown(one.path)} was not filled: {one.why}"])
    if not recorded.results and recorded.commit and not recorded.interrupted:
        terminal.note("The command wrote no checkpoint that could be found; see --watch.")
    if recorded.interrupted:
        terminal.warnings(["Interrupted; jellyml record --resume fills the rest."])


def _shown(path: Path) -> Path:
    here = Path.cwd().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _of(kind: str, results: Iterable[Result]) -> Iterable[Result]:
    return (one for one in results if one.kind == kind)


def _checkpoints(filled: list[Result]) -> str:
    return (
        "1 checkpoint carries now" if len(filled) == 1 else f"{len(filled)} checkpoints carry now"
    )
