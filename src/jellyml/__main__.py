"""``python -m jellyml``: the command line."""

import os
import sys

from jellyml.cli import main

if __name__ == "__main__":
    # Python puts the current folder first in sys.path. A later import could run code that a load
    # wrote there.
    if sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 (the exact text that Python put there)
        del sys.path[0]
    sys.exit(main())
