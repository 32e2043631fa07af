"""The command line: the entry point of ``jellyml``, ``jelly`` and ``jly``."""

import sys
from collections.abc import Sequence

from jellyml._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # Not list(): the command of that name is a module of this package.
    words = [*(sys.argv[1:] if argv is None else argv)]
    if words == ["--version"]:
        try:  # scripts and prompts run this, so nothing else is imported
            print(f"jellyml {__version__}", flush=True)  # noqa: T201
            return 0
        except OSError:
            pass  # run() below reports it like any other error
    from jellyml.cli.dispatch import run

    return run(words)
