"""Faults at every system call: count them in a clean run, then let one of them fail.

A command runs under ``strace`` (see ``runner``), and each git that it starts runs under a
``strace`` of its own when its turn has come: strace counts the calls of each process by itself,
so a point is *which process* (0 is jellyml, k the k-th git), *which call*, *which occurrence*.

Where strace is missing, ``counted`` counts the calls that Python tells of instead, and a git is
one point: it does not start, or is killed as it starts.
"""

import compileall
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STRACE = shutil.which("strace") if sys.platform.startswith("linux") else None
SOURCE = Path(__file__).parents[2] / "src"
KILLS = ("KILL", "KILL ALL")
ERRORS = ("EIO", "EACCES", "ENOSPC")
# Every call that can change a file system; names that this machine lacks are passed over.
MUTATING = (
    "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat",
    "rmdir", "open", "openat", "creat", "write", "pwrite64", "fsync", "fdatasync", "syncfs",
    "chmod", "fchmod", "fchmodat", "symlink", "symlinkat", "utimensat", "ftruncate", "truncate",
    "copy_file_range", "sendfile",
)  # fmt: skip
_CALLS = ",".join(f"?{name}" for name in MUTATING)
_ON_DISK = "/(?!dev/(?!shm/))"
_OUTPUT = "what it said"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")
_GIT = """#!/bin/sh
# The k-th git takes the k-th name; the one whose turn it is runs under strace.
set -C
k=1
until { true > "$FAULT_FOLDER/turn.$k"; } 2>/dev/null; do k=$((k + 1)); done
if [ "$FAULT_PROCESS" = all ] && [ -n "$FAULT_STRACE" ]; then
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
    """Where commands are run with faults; ``folder`` is its own. Without strace calls are counted.

    It runs a compiled copy of the source: a trial need not compile it anew, and a long run is
    of one source, whatever is edited meanwhile.
    """

    def __init__(self, folder: Path, strace: str | None = STRACE) -> None:
        self.folder = folder
        self.strace = strace
        self.turns = folder / "turns"
        self.temporary = folder / "tmp"
        shims = folder / "bin"
        for one in (shims, self.temporary):
            one.mkdir(parents=True)
        git = shutil.which("git")
        assert git
        (shims / "git").write_text(_GIT)
        (shims / "git").chmod(0o755)
        source = folder / "src"
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(source, quiet=2)
        self._plain = os.environ | {
            "PYTHONPATH": str(source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.temporary),
        }
        self._shimmed = self._plain | {
            "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
            "FAULT_FOLDER": str(self.turns),
            "FAULT_STRACE": strace or "",
            "FAULT_GIT": git,
            "FAULT_CALLS": _CALLS,
        }
        self._runner: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        if self._runner:
            self._runner.communicate()

    def run(self, folder: Path, words: Sequence[str], fault: Fault | None = None) -> Ended:
        """Run ``jellyml`` with a fault, or without."""
        if fault is None:
            return self._run(folder, words)
        point = fault.point
        if point.process == 0:  # git runs as ever, and at its own speed
            return self._run(folder, words, self._struck(fault))
        settings = {
            "FAULT_PROCESS": str(point.process),
            "FAULT_TRACE": f"trace={point.call}",
            "FAULT": fault.injection,
            "FAULT_TREE": str(int(fault.what == "KILL ALL")),
        }
        return self._run(folder, words, settings=settings)

    def traced(self, folder: Path, words: Sequence[str]) -> tuple[Ended, list[Point]]:
        """A clean run, and every call of it that may change something on disk."""
        trace = self.folder / "trace"
        trace.unlink(missing_ok=True)
        tracing = ["", "0", "", str(trace)]
        if self.strace:
            tracing = [self.strace, "-y", "-o", str(trace), "-e", f"trace={_CALLS}"]
        ended = self._run(folder, words, tracing, {"FAULT_PROCESS": "all"})
        found = set(_points(0, trace) if self.strace else _counts(trace))
        # A git that was killed before it began has a turn and no trace.
        for one in self.turns.glob("trace.*" if self.strace else "turn.*"):
            process = int(one.suffix[1:])
            # That git does not start at all, or fails at once, is a fault too.
            found.update((Point(process, "execve", 1), *_points(process, one)))
        return ended, sorted(found)

    def _struck(self, fault: Fault) -> list[str]:
        call = fault.point.call
        if not self.strace:
            return [call, str(fault.point.nth), fault.what, ""]
        tracing = [self.strace, "-o", str(self.folder / "fault")]
        return [*tracing, "-e", f"trace={call}", "-e", fault.injection]

    def _run(
        self,
        folder: Path,
        words: Sequence[str],
        tracing: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> Ended:
        for one in (self.turns, self.temporary):
            shutil.rmtree(one, ignore_errors=True)
            one.mkdir()
        environment = self._plain if settings is None else {**self._shimmed, **settings}
        if self.strace:
            return self._forked(folder, words, tracing, environment)
        counting = [str(Path(__file__).with_name("counted.py")), *tracing]
        done = subprocess.run(
            [sys.executable, *(counting if tracing else ("-m", "jellyml")), *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
        return Ended(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))

    def _forked(
        self,
        folder: Path,
        words: Sequence[str],
        tracing: Sequence[str],
        environment: Mapping[str, str],
    ) -> Ended:
        if self._runner is None:
            script = Path(__file__).with_name("runner.py")
            self._runner = subprocess.Popen(
                [sys.executable, str(script)],
                env=self._plain,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        output = self.folder / _OUTPUT
        asked = {
            "folder": str(folder),
            "environment": json.dumps(dict(environment)),
            "words": json.dumps(words),
            "output": str(output),
            "strace": json.dumps(tracing) if tracing else "",
        }
        assert self._runner.stdin
        assert self._runner.stdout
        self._runner.stdin.write(f"{json.dumps(asked)}\n".encode())
        self._runner.stdin.flush()
        return Ended(int(self._runner.stdout.readline()), output.read_text(errors="replace"))


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
    if rest.find(f"/{_OUTPUT}>") > 0:
        return False  # what the command says
    if call in ("open", "openat"):
        return "O_CREAT" in rest or "O_TRUNC" in rest
    if call in ("write", "pwrite64", "sendfile"):
        place = re.match(r"\d+<([^>]*)>", rest)
        return place is not None and re.match(_ON_DISK, place[1]) is not None
    return True


def _counts(trace: Path) -> Iterator[Point]:
    for line in trace.read_text().splitlines():
        name, nth = line.split()
        yield Point(0, name, int(nth))


def all_of(points: Iterable[Point], kinds: Iterable[str]) -> list[Fault]:
    """Every kind at every point, but what would be the very same trial.

    To kill jellyml is to kill all. A git that does not start is one trial, not one for each
    error: the shim exits with the same status and the same words.
    """
    return [
        Fault(point, what)
        for point in points
        for what in kinds
        if not (what == "KILL ALL" and not point.process)
        and not (point.call == "execve" and what in ERRORS[1:])
    ]


def some(faults: list[Fault], count: int, seed: int) -> list[Fault]:
    """A sample that is the same every time."""
    return sorted(random.Random(seed).sample(faults, min(count, len(faults))), key=str)


def spread(faults: list[Fault], count: int, seed: int) -> list[Fault]:
    """A sample in which every (jellyml or git, call, kind) has its share: one of each in turn."""
    chance = random.Random(seed)
    kinds: dict[tuple[bool, str, str], list[Fault]] = {}
    for fault in chance.sample(faults, len(faults)):
        key = (fault.point.process > 0, fault.point.call, fault.what)
        kinds.setdefault(key, []).append(fault)
    rows = chance.sample(list(kinds.values()), len(kinds))
    turns = (row[turn] for turn in range(len(faults)) for row in rows if turn < len(row))
    return [fault for fault, _ in zip(turns, range(count), strict=False)]
