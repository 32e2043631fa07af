"""Take times: in this process or of whole processes, one side after the other, A B A B."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

METER = Path(__file__).with_name("meter.py")


class Failed(Exception):
    """Something that was to be measured did not work."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds on the clock and of the processors, peak memory and bytes read.

    What is not known is 0. On a busy machine the processors' seconds say more than the clock.
    """

    seconds: float
    processors: float = 0
    memory: int = 0
    read: int = 0


def nothing() -> None:
    """What comes before most runs."""


@dataclass(frozen=True, slots=True)
class Side:
    """Something to measure; ``before`` makes it ready each time and is not counted."""

    run: Callable[[], Sample]
    before: Callable[[], object] = nothing


Samples = Sequence[Sample]


def interleaved(sides: Mapping[str, Side], runs: int, warm: int = 1) -> dict[str, list[Sample]]:
    """Run every side in turn, ``runs`` times after ``warm`` turns that do not count."""
    taken: dict[str, list[Sample]] = {name: [] for name in sides}
    for turn in range(-warm, runs):
        for name, side in sides.items():
            side.before()
            sample = side.run()
            if turn >= 0:
                taken[name].append(sample)
    return taken


def inside(function: Callable[[], object], before: Callable[[], object] = nothing) -> Side:
    """A call in this process, which has everything imported already."""

    def run() -> Sample:
        read, processors = bytes_read(), computed()
        began = time.perf_counter()
        function()
        took = time.perf_counter() - began
        return Sample(took, computed() - processors, read=bytes_read() - read)

    return Side(run, before)


def process(
    *commands: Sequence[str | Path], folder: Path, before: Callable[[], object] = nothing
) -> Side:
    """Commands run one after the other in ``folder``, each a process of its own."""
    job = {"folder": str(folder), "commands": [[str(word) for word in one] for one in commands]}
    request = json.dumps(job)

    def run() -> Sample:
        # Isolated and without site: nothing that is installed makes the meter large.
        meter = [sys.executable, "-I", "-S", str(METER)]
        done = subprocess.run(meter, input=request, capture_output=True, text=True, check=False)
        answer = json.loads(done.stdout) if done.returncode == 0 else {"status": 1}
        if answer["status"]:
            raise Failed(f"{request}: {done.stderr.strip()}")
        return Sample(
            answer["seconds"], answer["processors"], memory=answer["memory"], read=answer["read"]
        )

    return Side(run, before)


def computed() -> float:
    """What this process and its ended children have computed."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def bytes_read() -> int:
    """What this process and its ended children have read; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/io").read_text().split()[1])
    except OSError:
        return 0
