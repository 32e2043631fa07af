"""Run jellyml with its own calls counted, and let one of them fail: where there is no strace.

Python tells of each call that changes a file system before it makes it (an audit event), so a
point is which event and which occurrence. What happens between two calls of C is not seen.
"""

import errno
import os
import runpy
import signal
import sys
from collections import Counter

EVENTS = frozenset({
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod",
    "os.utime", "os.truncate",
})  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Counted:
    """Counts, notes what it counted, and strikes at one of them."""

    def __init__(self, call: str, nth: int, what: str, trace: str) -> None:
        self.wanted = (call, nth)
        self.what = what
        self.counts: Counter[str] = Counter()
        self.trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if trace else -1

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """An audit hook; what it raises is raised by the call, which is then not made."""
        if event in EVENTS or (event == "open" and _writes(args)):
            self.call(event)

    def call(self, name: str) -> None:
        self.counts[name] += 1
        if self.trace >= 0:
            os.write(self.trace, f"{name} {self.counts[name]}\n".encode())
        if (name, self.counts[name]) == self.wanted:
            if self.what.startswith("KILL"):
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, self.what)
            raise OSError(number, os.strerror(number))


def _writes(args: tuple[object, ...]) -> bool:
    path, _, flags = args
    if isinstance(path, int) or path in (os.devnull, "/dev/tty"):
        return False
    return isinstance(flags, int) and bool(flags & _WRITING)


def main() -> None:
    call, nth, what, trace = sys.argv[1:5]
    counted = Counted(call, int(nth), what, trace)
    sync = os.fsync

    def fsync(file: int) -> None:
        counted.call("os.fsync")
        sync(file)

    os.fsync = fsync  # type: ignore[assignment]
    sys.argv[1:5] = []
    sys.addaudithook(counted.hear)
    runpy.run_module("jellyml", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
