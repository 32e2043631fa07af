"""``jellyml eat``: restore the code of a checkpoint."""

from argparse import Namespace
from functools import partial

from jellyml.cli.parser import Parser, add_code_dir, add_max_unpacked, add_model, add_yes
from jellyml.cli.terminal import Terminal
from jellyml.errors import Unrelated
from jellyml.fs.paths import path_of
from jellyml.workspace.workspace import Workspace

DESCRIPTION = """
Write the code inside a checkpoint into your folder, exactly as it was when the snapshot
was taken, including uncommitted changes and untracked files. Also called load and
load-snapshot-from.

Nothing is lost: jellyml undo restores everything that was in the folder before, staged or
not, committed or not. The checkpoint is only read, without torch and without running any
of its content. Afterwards HEAD is detached at the snapshot's commit; branches do not move.
In a folder without a git repository, one is created. Code that shares neither a commit nor
a path with your repository is loaded after you confirm it.

examples:
  jellyml load model.pth                 here
  jellyml load model.pth --dry-run       only list what would change
  jellyml load model.pth --to ../look    into a new folder, without changes here
"""


def add_arguments(parser: Parser) -> None:
    add_model(parser)
    add_code_dir(parser)
    parser.add_argument(
        "--to",
        type=path_of,
        metavar="DIR",
        help="write the code into DIR, which must be missing or empty",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would change, change nothing"
    )
    add_max_unpacked(parser)
    add_yes(parser)


def run(args: Namespace, terminal: Terminal) -> int:
    load = partial(
        Workspace(args.code_dir).load,
        args.model,
        to=args.to,
        dry_run=args.dry_run,
        max_unpacked=args.max_unpacked,
    )
    try:
        outcome = load(unrelated=args.yes)
    except Unrelated as problem:
        if not terminal.can_ask:
            raise
        if not terminal.agrees(f"{problem.problem} Load it all the same?", yes=False):
            return problem.exit_code
        outcome = load(unrelated=True)
    if args.dry_run:
        terminal.changes(outcome)
    else:
        terminal.outcome(outcome)
    return 0
