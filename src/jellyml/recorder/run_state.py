"""The state of a recorded run on disk, with which another command can finish it after a kill.

It is a private folder in the repository's git directory, locked while this process lives and
deleted at the end: the snapshot, the watched folders, and the files that were in them before. It
may be part of an untrusted folder, so what it names is changed only inside folders that the user
names again.
"""

import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from jellyml.errors import JellyError, UnsafeToContinue, pasteable
from jellyml.fs import atomic, locks, paths
from jellyml.fs.directory import Directory
from jellyml.fs.paths import is_folder
from jellyml.recorder.outputs import Mark, Scan
from jellyml.repo import worktrees
from jellyml.repo.repository import Repository
from jellyml.snapshot.facts import CodeFacts
from jellyml.snapshot.snapshot import Snapshot

_VERSION = 1
_NAME = re.compile(r"[0-9a-f]{1,8}-[0-9a-f]{1,16}")  # a process id and a time
#: The name of the copy of a checkpoint that is filled and then renamed over it.
COPY = re.compile(r"\.jellyml-record-[0-9a-f]{1,8}-[0-9a-f]{1,16}")
# What reading a malformed plan raises.
_MALFORMED = (
    OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, JellyError,
)  # fmt: skip
_SLACK = 60.0  # seconds that the clock of a file server may be ahead of the local one


@dataclass
class RunState:
    """One run. ``before`` are the marks of the files that were in ``folders`` at its start."""

    command: list[str]  # masked, since it is printed
    folders: list[Path]
    snapshot: Snapshot
    before: frozenset[Mark]
    began: float = field(default_factory=time.time)
    place: Path | None = None  # None if nothing could be written
    child: tuple[int, str] | None = None  # process id, and its identity, since ids are reused
    ended: float | None = None  # time; files written long after are not of the run

    @contextmanager
    def persisted(self, repository: Repository) -> Iterator[None]:
        """Write the state; it stays after the block unless ``done`` is called.

        Raises OSError, and ForeignRepository if the git directory does not record this folder.
        """
        repository.check_points_back()
        records = _folder(repository)
        place = records / f"{os.getpid():x}-{time.time_ns():x}"
        place.mkdir(parents=True, mode=0o700)
        with locks.locked(place / "alive", wait=0):
            try:
                atomic.replace(place / "filling", [self.snapshot.filling])
                atomic.replace(place / "manifest", [self.snapshot.manifest])
                self.place = place
                self._write()
            except BaseException:
                self.done()
                raise
            yield

    def started(self, child: int) -> None:
        self.child = (child, _identity(child))
        self._write()

    def has_ended(self, moment: float) -> None:
        """Record the end of the command: files that change later are not its output."""
        self.ended = moment
        with suppress(OSError):
            self._write()

    def of_the_run(self, scan: Scan) -> list[Path]:
        """Return the files written since the start of the run, and not long after its end."""
        latest = math.inf if self.ended is None else (self.ended + _SLACK) * 1e9
        return [path for path, mark in scan.written_since(self.before).items() if mark[2] < latest]

    def copying(self, path: Path) -> None:
        """Record the path of a temporary copy, so that it can be deleted after a kill."""
        if self.place:
            atomic.replace(self.place / "copy", [os.fsencode(path)], durable=False)

    def done(self) -> None:
        """Delete the state."""
        if self.place:
            atomic.remove_tree(self.place)
            for folder in (self.place.parent, self.place.parent.parent):
                with suppress(OSError):  # not empty
                    folder.rmdir()

    def outside(self, named: Iterable[Path]) -> list[Path]:
        """Return its folders that are in none of those that the user named."""
        return [one for one in self.folders if not is_below(one, named)]

    def sweep(self, named: Iterable[Path]) -> None:
        """Delete the copy that a kill left, if it is in a folder that the user named."""
        with suppress(OSError):
            if self.place:
                copy = Path(os.fsdecode(atomic.read_plain(self.place / "copy")))
                if COPY.fullmatch(copy.name) and is_below(copy, named):
                    copy.unlink()

    def runs(self) -> bool:
        """Return whether the command still runs."""
        return self.child is not None and _identity(self.child[0]) == self.child[1] != ""

    def mix(self) -> None:
        """Record that another command writes to the same folders; the mark stays until ``done``."""
        if self.place:
            Directory.open(self.place).entry("mixed").touch()

    @property
    def mixed(self) -> bool:
        return self.place is not None and (self.place / "mixed").exists()

    def is_above(self) -> bool:
        """Return whether its command started this process."""
        recorder = int(self.place.name.partition("-")[0], 16) if self.place else 0
        return recorder in _ancestors()

    def overlaps(self, other: "RunState") -> bool:
        return any(
            one.is_relative_to(two) or two.is_relative_to(one)
            for one in self.folders
            for two in other.folders
        )

    def _write(self) -> None:
        if not self.place:
            return
        plan = {
            "version": _VERSION,
            "command": self.command,
            "folders": [os.fsencode(path).hex() for path in self.folders],
            "commit": self.snapshot.commit,
            "began": self.began,
            "child": self.child,
            "ended": self.ended,
            "before": sorted(self.before),
        }
        atomic.replace(self.place / "plan.json", [json.dumps(plan).encode()])


def interrupted(repository: Repository) -> Iterator[tuple[RunState, ExitStack]]:
    """Yield the runs whose record was killed, each locked until the next is requested."""
    _sweep(repository)
    for place, run in _all(repository):
        with ExitStack() as stack:
            if stack.enter_context(locks.locked(place / "alive", wait=0)):
                yield run, stack


def _sweep(repository: Repository) -> None:
    """Delete states without a plan: they were killed before the command was started."""
    for place in _places(repository):
        with suppress(OSError):
            if not (place / "plan.json").exists():
                with locks.locked(place / "alive", wait=0) as free:
                    if free:
                        atomic.remove_tree(place)


def running(repository: Repository) -> list[RunState]:
    """Return the runs whose command runs now, even if their record was killed."""
    runs = []
    for place, run in _all(repository):
        with locks.locked(place / "alive", wait=0) as free:
            if run.ended is None and (not free or run.runs()):
                runs.append(run)
    return runs


def _all(repository: Repository) -> Iterator[tuple[Path, RunState]]:
    for place in _places(repository):
        with suppress(*_MALFORMED):
            yield place, _read(place)


def _places(repository: Repository) -> list[Path]:
    """Return the folders of all runs. Other names and links are not JellyML's."""
    folders = _folder(repository).glob("*")
    return sorted(one for one in folders if _NAME.fullmatch(one.name) and is_folder(one))


def is_below(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether a path, with links resolved, is in one of these folders."""
    try:
        target = paths.resolved(path)
    except (OSError, ValueError):  # a link loop, a name with a NUL
        return False
    return any(target.is_relative_to(folder) for folder in folders)


def _read(place: Path) -> RunState:
    plan = json.loads(atomic.read_plain(place / "plan.json"))
    if plan["version"] != _VERSION:
        raise ValueError(plan["version"])
    folders = [Path(os.fsdecode(bytes.fromhex(each))) for each in plan["folders"]]
    facts = CodeFacts(root=folders[0], commit=plan["commit"])
    filling, manifest = (atomic.read_plain(place / name) for name in ("filling", "manifest"))
    snapshot = Snapshot(filling, manifest, facts)
    before: Sequence[Sequence[int]] = plan["before"]
    return RunState(
        command=[str(word) for word in plan["command"]],
        folders=folders,
        snapshot=snapshot,
        before=frozenset((a, b, c, d) for a, b, c, d in before),
        began=float(plan["began"]),
        place=place,
        child=(int(plan["child"][0]), str(plan["child"][1])) if plan["child"] else None,
        ended=plan["ended"] and float(plan["ended"]),
    )


def _folder(repository: Repository) -> Path:
    """Return the folder of all runs. Raises UnsafeToContinue if it is a symbolic link."""
    base = worktrees.base_of(repository)
    for one in (base, base / "records"):
        if one.is_symlink():
            raise UnsafeToContinue(
                f"{one} is a symbolic link. Nothing is written through it.",
                f"look where it leads, then remove it: rm {pasteable(one)}",
            )
    return base / "records"


def _ancestors() -> Iterator[int]:
    """Yield the parent processes of this one, as far as /proc lists them."""
    process = os.getppid()
    while process > 1:
        yield process
        try:
            state = Path(f"/proc/{process}/stat").read_text()
            process = int(state.rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return


def _identity(process: int) -> str:
    """Return an id of a process that is unique across boots; empty if it does not run.

    Without /proc, the id only says that a process of this number runs.
    """
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        # A zombie has ended. In many containers the parent never reaps it.
        return "" if state in "ZX" else f"{_boot()} {rest[18]}"
    except (OSError, IndexError, ValueError):
        pass
    if Path("/proc/self").exists() or os.name == "nt":
        return ""
    try:
        os.kill(process, 0)
    except OSError:
        return ""
    return "alive"


@lru_cache(maxsize=1)
def _boot() -> str:
    """The id of this boot of this machine; empty where it is unknown.

    The start time of a process counts from the boot, and a home may be shared by a cluster.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
