"""Run the user's command with its own streams, terminal, signals and exit status.

The command runs in this process's group, so the keys of a terminal reach it directly (Ctrl-C once;
Ctrl-Z stops both). A signal that only this process receives is forwarded. To tell the two apart
there is a canary: a process of the same group, which receives only what the whole group receives.
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

NOT_FOUND, NOT_STARTED = 127, 126  # the exit codes of shells
_FORWARDED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
_CANARY = 0.2  # seconds within which the canary receives a signal of the group


class NotStarted(JellyError):
    """The command does not exist, or is not a program."""


def run(command: Sequence[str], started: Callable[[int], None]) -> int:
    """Run the command and return its exit status, negative for the signal that ended it.

    ``started`` is called with its process id. Raises NotStarted.
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


def end_by_same_signal(status: int) -> int:
    """End by the signal that ended the command, so that the parent process sees the same.

    Returns the exit status if the command exited, or on Windows, which has no such signals.
    """
    if status >= 0:
        return status
    if os.name != "nt":
        import resource

        with suppress(OSError, ValueError):  # the handler of SIGKILL cannot be set
            resource.setrlimit(
                resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return 128 - status


@contextmanager
def _signals() -> "Iterator[Callable[[subprocess.Popen[bytes]], None]]":
    """Forward signals to this process alone while the block runs; ignored ones stay ignored."""
    canary = _Canary()
    child: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _: FrameType | None) -> None:
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
        number: signal.signal(number, forward)
        for number in _FORWARDED
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield follow
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        canary.end()


class _Canary:
    """A process of the same group that only reports which signals it receives."""

    def __init__(self) -> None:
        self._got: Counter[int] = Counter()
        self._pid = 0
        if not hasattr(os, "fork"):
            return
        self._reports, report_pipe = os.pipe()
        lifeline, self._lifeline = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _run_canary(report_pipe, lifeline)
        os.close(report_pipe)
        os.close(lifeline)
        os.read(self._reports, 1)  # until its handlers are set

    def got(self, number: int) -> bool:
        deadline = time.monotonic() + _CANARY
        while self._pid and not self._got[number]:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not select.select([self._reports], [], [], remaining)[0]:
                break
            numbers = os.read(self._reports, 64)
            if not numbers:
                break
            self._got.update(numbers)
        self._got[number] -= 1
        if self._got[number] >= 0:
            return True
        self._got[number] = 0
        return os.name == "nt"  # there a console sends every signal to all processes

    def end(self) -> None:
        if self._pid:
            os.close(self._lifeline)
            os.close(self._reports)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0


def _run_canary(report_pipe: int, lifeline: int) -> None:
    """Run the canary. It closes all streams, and exits when its lifeline pipe is closed."""
    try:
        pipes = {report_pipe, lifeline}
        for number in _FORWARDED:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda got, _: _report(report_pipe, got))
        for stream in range(max(pipes) + 64):
            if stream not in pipes:
                with suppress(OSError):
                    os.close(stream)
        os.write(report_pipe, b"\0")
        while os.read(lifeline, 1):
            pass
    finally:
        os._exit(0)


def _report(report_pipe: int, number: int) -> None:
    with suppress(OSError):
        os.write(report_pipe, bytes([number]))
