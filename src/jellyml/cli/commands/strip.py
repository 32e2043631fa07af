"""``jellyml strip``: remove the code from a checkpoint."""

from argparse import Namespace

from jellyml.checkpoint.fill import strip
from jellyml.cli.parser import Parser, add_follow_links
from jellyml.cli.terminal import Terminal
from jellyml.errors import pasteable

DESCRIPTION = """
Remove the code, and the record of how the model was made, from a checkpoint.

What jellyml fill added is removed completely: the file is again what it was, byte for byte.
What was saved with the model is wiped instead: its bytes become zeros in a new file of the
same size, which every program loads as before.

examples:
  jellyml strip model.pth
"""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint, file or folder")
    add_follow_links(parser)


def run(args: Namespace, terminal: Terminal) -> None:
    stripped = strip(args.model, follow_links=args.follow_links)
    if stripped.how == "exact":
        terminal.done(f"{stripped.path} is again what it was before jellyml fill, byte for byte.")
    else:
        terminal.done(
            f"{stripped.path} no longer contains code.",
            "It had been saved with the model, so its bytes are zeros now; all else is as it was.",
        )
    if stripped.more:
        again = f"jellyml strip {pasteable(stripped.path)} takes it out."
        terminal.warnings([f"Another snapshot is still in it; {again}"])
