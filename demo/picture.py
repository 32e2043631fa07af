"""Draw docs/run.svg: what ``make demo`` shows on a terminal, up to the code itself."""

import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent


def main() -> int:
    shown = b""

    def read(terminal: int) -> bytes:
        nonlocal shown
        piece = os.read(terminal, 65536)
        shown += piece
        return piece

    status = pty.spawn([sys.executable, str(HERE / "demo.py")], read)
    if status:
        return 1
    text = shown.decode().replace("\r\n", "\n").split("\x1b[1;35m\n7.")[0].strip("\n")
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=92, file=nowhere, force_terminal=True)
        # The scratch folder's name differs each time and says nothing.
        console.print(Text.from_ansi(re.sub(r"jellyml-demo-\w+", "jellyml-demo", text)))
        console.save_svg(str(HERE.parent / "docs/run.svg"), title="make demo", unique_id="run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
