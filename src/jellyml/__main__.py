"""``python -m jellyml``: the command line."""

import os
import sys

from jellyml.cli import main

if __name__ == "__main__":
    # Python puts the current folder first, and what is imported later could be loaded code.
    if sys.path and sys.path[0] == os.getcwd():  # noqa: PTH109 (the very text that Python put there)
        del sys.path[0]
    sys.exit(main())
