"""``python -m jellyml``: the command line."""

import sys

from jellyml.cli import main

if __name__ == "__main__":
    sys.exit(main())
