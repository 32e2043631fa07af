"""``jellyml fill``: put a snapshot of the code into a checkpoint that is there already."""

from argparse import Namespace
from typing import cast

from jellyml.capture.bundle import History
from jellyml.checkpoint.fill import fill
from jellyml.cli.parser import Parser, add_code_dir, add_follow_links
from jellyml.cli.terminal import Terminal
from jellyml.errors import pasteable
from jellyml.remote.address import place_of
from jellyml.snapshot.facts import format_size

DESCRIPTION = """
Put the code of this folder, as it is now, into a checkpoint that was saved without it. Any
format that can carry it safely: whatever else reads the file goes on as before. A folder
gets two files beside its own. The checkpoint is no part of its code, even where it lies
untracked in the folder.

In place where the format allows it. A kill leaves the file as it was, or whole and new; what
it left half done, the next command takes back. Filling again replaces the snapshot;
jellyml strip takes it out, byte for byte.

examples:
  jellyml fill model.safetensors                    the code in the current folder
  jellyml fill checkpoint-500/ -c ~/project         a folder; the code lies elsewhere
  jellyml fill quantized.gguf --from model.pth      the snapshot of another checkpoint
  jellyml fill --replace --from model.pth --history none model.pth
                                                    the same code, without its past
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint, file or folder")
    add_code_dir(parser)
    parser.add_argument(
        "--from",
        dest="source",
        type=place_of,
        metavar="CHECKPOINT",
        help="put in the snapshot that this checkpoint carries",
    )
    parser.add_argument(
        "--history",
        type=_history,
        metavar="none|N|full",
        help="how many commits below the snapshot go with it (as many as fit into 64 MB);"
        " with --from, how many are kept",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="also where the run itself put a snapshot in: that one is wiped",
    )
    add_follow_links(parser)


def _history(word: str) -> History:
    if word in ("auto", "full", "none"):
        return cast("History", word)
    return int(word)


def run(args: Namespace, terminal: Terminal) -> None:
    filled = fill(
        args.model,
        code_dir=args.code_dir,
        source=args.source,
        history=args.history,
        replace=args.replace,
        follow_links=args.follow_links,
    )
    how = "carries now, instead of the one before," if filled.replaced else "carries now"
    commit = f"commit {filled.commit[:8]}" if filled.commit else "the code"
    terminal.done(
        f"{filled.path} ({filled.format}) {how} {commit}, {format_size(filled.size)}.",
        f"jellyml strip {pasteable(filled.path)} takes it out again.",
    )
    terminal.warnings([filled.caution] if filled.caution else [])
