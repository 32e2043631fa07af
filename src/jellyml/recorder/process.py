"""Run the user's command as if nobody stood between: streams, terminal, signals, exit status.

It runs in our own process group, so that the keys of a terminal reach it as ever (Ctrl-C once,
Ctrl-Z stops us both). A signal that was sent to us alone is passed on. Which of the two it was,
a canary tells: a process in the same group that gets what the whole group gets.
"""

import os
import select
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from jellyml.errors import JellyError

NOT_FOUND, NOT_STARTED = 127, 126  # as shells say it
_PASSED_ON = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
_CANARY = 0.2  # seconds for the canary to have got what the group got


class NotStarted(JellyError):
    """The command is not there, or is no program."""


def run(command: Sequence[str], started: Callable[[int], None]) -> int:
    """The command's exit status, negative for the signal that ended it.

    ``started`` is told its process id. Raises NotStarted.
    """
    with _signals() as follow:
        try:
            process = subprocess.Popen(command)
        except OSError as error:
            problem = NotStarted(f"{command[0]} could not be started: {error.strerror or error}.")
            problem.exit_code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_STARTED
            raise problem from None
        follow(process)
        with suppress(OSError):
            started(process.pid)
        return process.wait()


def end_likewise(status: int) -> int:
    """End by the signal that ended the command, so that whoever waits for us sees the same.

    Returns the status where it ended by itself, or signals are not to be had.
    """
    if status >= 0:
        return status
    if os.name != "nt":
        import resource

        with suppress(OSError, ValueError):  # SIGKILL cannot be set, and need not be
            resource.setrlimit(
                resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return 128 - status


@contextmanager
def _signals() -> "Iterator[Callable[[subprocess.Popen[bytes]], None]]":
    """Meanwhile pass on what is sent to us alone; what is ignored stays ignored, in both."""
    canary = _Canary()
    child: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def passed_on(number: int, _: FrameType | None) -> None:
        if canary.got(number):
            return
        if not child:
            early.append(number)
        elif child[0].returncode is None:
            with suppress(ProcessLookupError):
                child[0].send_signal(number)

    def follow(process: "subprocess.Popen[bytes]") -> None:
        child.append(process)
        for number in early:
            process.send_signal(number)

    before = {
        number: signal.signal(number, passed_on)
        for number in _PASSED_ON
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield follow
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        canary.end()


class _Canary:
    """A process of our group that does nothing but say which signals it gets."""

    def __init__(self) -> None:
        self._got: Counter[int] = Counter()
        self._pid = 0
        if not hasattr(os, "fork"):
            return
        self._told, telling = os.pipe()
        lifeline, self._lifeline = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _sing(telling, lifeline)
        os.close(telling)
        os.close(lifeline)
        os.read(self._told, 1)  # until it listens

    def got(self, number: int) -> bool:
        until = time.monotonic() + _CANARY
        while self._pid and not self._got[number]:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._told], [], [], left)[0]:
                break
            heard = os.read(self._told, 64)
            if not heard:
                break
            self._got.update(heard)
        self._got[number] -= 1
        if self._got[number] >= 0:
            return True
        self._got[number] = 0
        return os.name == "nt"  # there a console tells everybody

    def end(self) -> None:
        if self._pid:
            os.close(self._lifeline)
            os.close(self._told)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0


def _sing(telling: int, lifeline: int) -> None:
    """The canary: it holds no stream open, and ends when the other end of its lifeline does."""
    try:
        kept = {telling, lifeline}
        for number in _PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda got, _: _tell(telling, got))
        for stream in range(max(kept) + 64):
            if stream not in kept:
                with suppress(OSError):
                    os.close(stream)
        os.write(telling, b"\0")
        while os.read(lifeline, 1):
            pass
    finally:
        os._exit(0)


def _tell(telling: int, number: int) -> None:
    with suppress(OSError):
        os.write(telling, bytes([number]))
