"""Run a command under limits, and measure the memory and the time that it takes.

The process measures itself: what ``wait4`` reports of a child includes the memory of the parent
that started it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from at_the_keyboard import environment

MIB = 256  # above the start
# For the interpreter, its libraries and their threads; a command that takes much more is killed.
_DATA = 1 << 30
_PROGRAM = """
import json, resource, sys, time
from pathlib import Path

def memory(field):
    return int(Path("/proc/self/status").read_text().split(field + ":")[1].split()[0]) / 1024

report, data, *words = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_DATA, (int(data), int(data)))
import jellyml.cli.dispatch
start, began = memory("VmRSS"), time.process_time()
status = jellyml.cli.main(words)
took = time.process_time() - began
Path(report).write_text(json.dumps([memory("VmHWM") - start, took]))
sys.exit(status)
"""


@dataclass(frozen=True)
class Case:
    """A file, the command that reads it, and the bounds that it stays within.

    ``build`` writes the file into a folder and returns the words of the command. ``says`` is part
    of the output. ``seconds`` is of the processor.
    """

    build: Callable[[Path], Sequence[str]]
    says: str
    seconds: float = 10.0
    mib: float = MIB


@dataclass(frozen=True)
class Usage:
    """What a command said, and what it took."""

    status: int
    text: str
    mib: float
    seconds: float
    wall: float


def run_limited(*words: str, cwd: Path, timeout: float, data: int = _DATA, **more: str) -> Usage:
    """Run ``jellyml``. Raises TimeoutExpired; AssertionError if it was killed by a limit."""
    report = cwd / "usage.json"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(report), str(data), *words],
        cwd=cwd,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
    )
    text = done.stdout.decode(errors="replace")
    assert report.exists(), text[-2000:]
    mib, seconds = json.loads(report.read_text())
    return Usage(done.returncode, text, mib, seconds, time.monotonic() - began)
