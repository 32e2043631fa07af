"""Git on the user's own terminal: a command of theirs, or our words in their pager.

Their environment and their settings hold. Only hooks and file system monitors are off.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_OFF = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
# Git alone knows which pager it would use; this has it page what it is given.
_PAGE = ("-c", "alias.jellyml-page=!cat", "--paginate", "jellyml-page")


def attached(folder: Path, words: Sequence[str]) -> int:
    """Run git and return its status as a shell would."""
    with _deaf_to_interrupts():
        status = subprocess.call(["git", *_OFF, *words], cwd=folder)
    return status if status >= 0 else 128 - status


def page(lines: Iterable[str], encoding: str) -> None:
    """Show lines on the terminal as git would show a difference; whoever has seen enough quits."""
    with subprocess.Popen(["git", *_OFF, *_PAGE], stdin=subprocess.PIPE) as process:
        assert process.stdin
        with _deaf_to_interrupts(), suppress(BrokenPipeError):
            for line in lines:
                process.stdin.write(line.encode(encoding, "backslashreplace") + b"\n")
            process.stdin.close()
        with _deaf_to_interrupts():
            process.wait()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """An interrupt reaches the child too; what it means is for the child to decide.

    A handler that does nothing, since what is ignored would be ignored by the child as well;
    and no exception, which could come between the child's end and the note of its status.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts come to the main thread only
        return
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
