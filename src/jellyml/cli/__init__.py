"""The command line: what the three programs ``jellyml``, ``jelly`` and ``jly`` start."""

import sys
from collections.abc import Sequence

from jellyml._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    # Not list(): the command of that name is a module in here.
    words = [*(sys.argv[1:] if argv is None else argv)]
    if words == ["--version"]:
        try:  # asked for by scripts and prompts, so no other import
            print(f"jellyml {__version__}", flush=True)  # noqa: T201
            return 0
        except OSError:
            pass  # told below, as any other
    from jellyml.cli.dispatch import run

    return run(words)
