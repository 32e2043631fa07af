"""``jellyml fill``: put a snapshot of the code into an existing checkpoint."""

from argparse import Namespace
from typing import cast

from jellyml.capture.bundle import History
from jellyml.capture.settings import weaker_settings
from jellyml.checkpoint.fill import fill
from jellyml.cli.parser import Parser, add_code_dir, add_follow_links
from jellyml.cli.terminal import Terminal
from jellyml.errors import pasteable
from jellyml.remote.address import parse_location
from jellyml.snapshot.facts import format_size

DESCRIPTION = """
Put the code of this folder, as it is now, into a checkpoint that was saved without it. This
works for every format that can carry it safely: other programs read the file as before. A
folder gets two additional files. The checkpoint is not part of its own code, even if it is
untracked in the folder.

The file is edited in place where the format allows it. After a kill, the file is either the
old one or the new one; the next command reverts a half-done edit. Filling again replaces the
snapshot; jellyml strip removes it, byte for byte.

examples:
  jellyml fill model.safetensors                    the code in the current folder
  jellyml fill checkpoint-500/ -c ~/project         a folder, with the code elsewhere
  jellyml fill quantized.gguf --from model.pth      the snapshot of another checkpoint
  jellyml fill --replace --from model.pth --history none model.pth
                                                    the same code, without its history
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint, file or folder")
    add_code_dir(parser)
    parser.add_argument(
        "--from",
        dest="source",
        type=parse_location,
        metavar="CHECKPOINT",
        help="use the snapshot of this checkpoint",
    )
    parser.add_argument(
        "--history",
        type=_history,
        metavar="none|N|full",
        help="how many commits of history to include (default: as many as fit into 64 MB);"
        " with --from, how many to keep",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="also replace a snapshot that the run itself saved; its bytes are wiped",
    )
    add_follow_links(parser)


def _history(word: str) -> History:
    if word in ("auto", "full", "none"):
        return cast("History", word)
    return int(word)


def run(args: Namespace, terminal: Terminal) -> None:
    terminal.warnings(weaker_settings(args.code_dir.absolute()))
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
