"""Faults at every system call: count them in a clean run, then let one of them fail.

A command runs under ``strace``, and each git that it starts runs under a ``strace`` of its own
when its turn has come: strace counts the calls of each process by itself, so a point is *which
process* (0 is jellyml, k the k-th git), *which call*, *which occurrence*.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

STRACE = shutil.which("strace")
SOURCE = Path(__file__).parents[1] / "src"
# Every call that can change a file system; names that this machine lacks are passed over.
MUTATING = (
    "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat",
    "rmdir", "open", "openat", "creat", "write", "pwrite64", "fsync", "fdatasync", "syncfs",
    "chmod", "fchmod", "fchmodat", "symlink", "symlinkat", "utimensat", "ftruncate", "truncate",
    "copy_file_range", "sendfile",
)  # fmt: skip
_CALLS = ",".join(f"?{name}" for name in MUTATING)
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")
_GIT = """#!/bin/sh
# The k-th git takes the k-th name; the one whose turn it is runs under strace.
set -C
k=1
until { true > "$FAULT_FOLDER/turn.$k"; } 2>/dev/null; do k=$((k + 1)); done
if [ "$FAULT_PROCESS" = all ]; then
  exec "$FAULT_STRACE" -f -y -qq -o "$FAULT_FOLDER/trace.$k" -e "trace=$FAULT_CALLS" \
    "$FAULT_GIT" "$@"
fi
[ "$FAULT_PROCESS" = "$k" ] || exec "$FAULT_GIT" "$@"
case "$FAULT" in
  inject=execve:signal*) [ "$FAULT_TREE" = 1 ] && kill -9 $PPID; kill -9 $$ ;;
  inject=execve:error*) echo "fatal: a fault" >&2; exit 128 ;;
esac
"$FAULT_STRACE" -f -qq -o "$FAULT_FOLDER/fault" -e "$FAULT_TRACE" -e "$FAULT" "$FAULT_GIT" "$@"
status=$?
[ "$FAULT_TREE" = 1 ] && [ $status = 137 ] && kill -9 $PPID
exit $status
"""


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One system call of one process of a command."""

    process: int
    call: str
    nth: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens there: ``KILL``, ``KILL ALL`` (with the whole command) or an errno's name."""

    point: Point
    what: str

    def __str__(self) -> str:
        return f"{self.point.process}:{self.point.call}:{self.point.nth}:{self.what}"

    @property
    def kills_jellyml(self) -> bool:
        return self.what == "KILL ALL" or (self.what == "KILL" and self.point.process == 0)

    @property
    def injection(self) -> str:
        how = "signal=KILL" if self.what.startswith("KILL") else f"error={self.what}"
        return f"inject={self.point.call}:{how}:when={self.point.nth}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its status (negative: the signal) and what it said."""

    status: int
    said: str


class Bench:
    """Where commands are run with faults; ``folder`` is its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.turns = folder / "turns"
        shims = folder / "bin"
        shims.mkdir(parents=True)
        git = shutil.which("git")
        assert git
        (shims / "git").write_text(_GIT)
        (shims / "git").chmod(0o755)
        self._environment = os.environ | {
            "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FAULT_FOLDER": str(self.turns),
            "FAULT_STRACE": STRACE or "",
            "FAULT_GIT": git,
            "FAULT_CALLS": _CALLS,
        }

    def run(self, folder: Path, words: tuple[str, ...], fault: Fault | None = None) -> Ended:
        """Run ``jellyml`` with a fault, or without."""
        settings: dict[str, str] = {}
        before: list[str] = []
        if fault:
            settings = {
                "FAULT_PROCESS": str(fault.point.process),
                "FAULT_TRACE": f"trace={fault.point.call}",
                "FAULT": fault.injection,
                "FAULT_TREE": str(int(fault.what == "KILL ALL")),
            }
            if fault.point.process == 0:
                assert STRACE
                before = [STRACE, "-qq", "-o", str(self.folder / "fault"),
                          "-e", settings["FAULT_TRACE"], "-e", fault.injection]  # fmt: skip
        return self._run(folder, words, before, settings)

    def points(self, folder: Path, words: tuple[str, ...]) -> list[Point]:
        """Every call of a clean run that may change something on disk."""
        assert STRACE
        trace = self.folder / "trace"
        before = [STRACE, "-y", "-qq", "-o", str(trace), "-e", f"trace={_CALLS}"]
        self._run(folder, words, before, {"FAULT_PROCESS": "all"})
        found = set(_points(0, trace))
        for one in self.turns.glob("trace.*"):
            process = int(one.suffix[1:])
            # That git does not start at all, or fails at once, is a fault too.
            found.update((Point(process, "execve", 1), *_points(process, one)))
        return sorted(found)

    def _run(
        self, folder: Path, words: tuple[str, ...], before: list[str], settings: dict[str, str]
    ) -> Ended:
        shutil.rmtree(self.turns, ignore_errors=True)
        self.turns.mkdir()
        done = subprocess.run(
            [*before, sys.executable, "-m", "jellyml", *words],
            cwd=folder,
            env=self._environment | settings,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        return Ended(done.returncode, said)


def _points(process: int, trace: Path) -> Iterator[Point]:
    counts: dict[tuple[str, str], int] = {}
    for line in trace.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if not match or match[1] not in MUTATING:
            continue
        name, rest = match.groups()
        key = (line[: match.start(1)], name)
        counts[key] = counts.get(key, 0) + 1
        if _changes(name, rest):
            yield Point(process, name, counts[key])


def _changes(call: str, rest: str) -> bool:
    if call in ("open", "openat"):
        return "O_CREAT" in rest or "O_TRUNC" in rest
    if call in ("write", "pwrite64", "sendfile"):
        place = re.match(r"\d+<([^>]*)>", rest)
        return place is not None and re.match("/(?!dev/)", place[1]) is not None
    return True


def all_of(points: list[Point], kinds: Iterable[str]) -> list[Fault]:
    """Every kind at every point; to kill jellyml is to kill all."""
    return [
        Fault(point, what)
        for point in points
        for what in kinds
        if point.process or what != "KILL ALL"
    ]


def some(faults: list[Fault], count: int, seed: int) -> list[Fault]:
    """A sample that is the same every time."""
    return sorted(random.Random(seed).sample(faults, min(count, len(faults))), key=str)
