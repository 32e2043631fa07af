"""What a recorded run needs to be finished by another command, should we be killed.

A private folder in the repository's git directory, locked while we live and gone when all is
done: the snapshot, where to look, and what lay there before. It may have come with a stranger's
folder: what it names is touched only inside folders that the user names again.
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
from jellyml.recorder.outputs import Mark, Seen
from jellyml.repo import worktrees
from jellyml.repo.repository import Repository
from jellyml.snapshot.facts import CodeFacts
from jellyml.snapshot.snapshot import Snapshot

_VERSION = 1
_NAME = re.compile(r"[0-9a-f]{1,8}-[0-9a-f]{1,16}")  # a process and a moment
#: How a copy is named that is filled beside a checkpoint.
COPY = re.compile(r"\.jellyml-record-[0-9a-f]{1,8}-[0-9a-f]{1,16}")
# What reading a plan raises that no record wrote.
_MALFORMED = (
    OSError, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, JellyError,
)  # fmt: skip
_SLACK = 60.0  # seconds that the clock of a file server may be ahead of ours


@dataclass
class RunState:
    """One run. ``commit`` is the snapshot's, ``before`` the marks of what lay in ``folders``."""

    command: list[str]  # masked: it is shown
    folders: list[Path]
    snapshot: Snapshot
    before: frozenset[Mark]
    began: float = field(default_factory=time.time)
    place: Path | None = None  # None where nothing could be written
    child: tuple[int, str] | None = None  # process id, and what tells it from another of that id
    ended: float | None = None  # when the command had; what was written long after is not its own

    @contextmanager
    def kept(self, repository: Repository) -> Iterator[None]:
        """Keep it while the block runs, and after it unless ``done`` was called. Raises OSError."""
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
        """The command has; from now on nothing that changes is of the run."""
        self.ended = moment
        with suppress(OSError):
            self._write()

    def of_the_run(self, seen: Seen) -> list[Path]:
        """What was written since the run began, and not long after its end."""
        latest = math.inf if self.ended is None else (self.ended + _SLACK) * 1e9
        return [path for path, mark in seen.written_since(self.before).items() if mark[2] < latest]

    def copying(self, path: Path) -> None:
        """A copy of ours is about to lie there for a while."""
        if self.place:
            atomic.replace(self.place / "copy", [os.fsencode(path)], durable=False)

    def done(self) -> None:
        if self.place:
            atomic.remove_tree(self.place)
            for folder in (self.place.parent, self.place.parent.parent):
                with suppress(OSError):  # not empty
                    folder.rmdir()

    def outside(self, named: Iterable[Path]) -> list[Path]:
        """Its folders that are in none of those that the user named."""
        return [one for one in self.folders if not is_below(one, named)]

    def sweep(self, named: Iterable[Path]) -> None:
        """Drop the copy that a kill left in one of the folders that the user named."""
        with suppress(OSError):
            if self.place:
                copy = Path(os.fsdecode(atomic.read_plain(self.place / "copy")))
                if COPY.fullmatch(copy.name) and is_below(copy, named):
                    copy.unlink()

    def runs(self) -> bool:
        """Whether the command is still at work."""
        return self.child is not None and _identity(self.child[0]) == self.child[1] != ""

    def mix(self) -> None:
        """Note that another command writes to the same place meanwhile, until all is done."""
        if self.place:
            Directory.open(self.place).entry("mixed").touch()

    @property
    def mixed(self) -> bool:
        return self.place is not None and (self.place / "mixed").exists()

    def is_above(self) -> bool:
        """Whether we are run by its command."""
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
        told = {
            "version": _VERSION,
            "command": self.command,
            "folders": [os.fsencode(path).hex() for path in self.folders],
            "commit": self.snapshot.commit,
            "began": self.began,
            "child": self.child,
            "ended": self.ended,
            "before": sorted(self.before),
        }
        atomic.replace(self.place / "plan.json", [json.dumps(told).encode()])


def left(repository: Repository) -> Iterator[tuple[RunState, ExitStack]]:
    """The runs that somebody was killed over, each held while it is looked at."""
    _sweep(repository)
    for place, plan in _all(repository):
        with ExitStack() as held:
            if held.enter_context(locks.locked(place / "alive", wait=0)):
                yield plan, held


def _sweep(repository: Repository) -> None:
    """Drop what was left of plans that were never written: nothing had been run as yet."""
    for place in _places(repository):
        with suppress(OSError):
            if not (place / "plan.json").exists():
                with locks.locked(place / "alive", wait=0) as free:
                    if free:
                        atomic.remove_tree(place)


def at_work(repository: Repository) -> list[RunState]:
    """The runs whose command is at work just now, be it that who recorded it was killed."""
    found = []
    for place, plan in _all(repository):
        with locks.locked(place / "alive", wait=0) as free:
            if plan.ended is None and (not free or plan.runs()):
                found.append(plan)
    return found


def _all(repository: Repository) -> Iterator[tuple[Path, RunState]]:
    for place in _places(repository):
        with suppress(*_MALFORMED):
            yield place, _read(place)


def _places(repository: Repository) -> list[Path]:
    """The folders of all runs; what is named otherwise, and links, are none of ours."""
    found = _folder(repository).glob("*")
    return sorted(one for one in found if _NAME.fullmatch(one.name) and is_folder(one))


def is_below(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path is in one of some folders, wherever links in it lead."""
    try:
        found = paths.resolved(path)
    except (OSError, ValueError):  # a link loop, a name with a NUL
        return False
    return any(found.is_relative_to(folder) for folder in folders)


def _read(place: Path) -> RunState:
    told = json.loads(atomic.read_plain(place / "plan.json"))
    if told["version"] != _VERSION:
        raise ValueError(told["version"])
    folders = [Path(os.fsdecode(bytes.fromhex(each))) for each in told["folders"]]
    facts = CodeFacts(root=folders[0], commit=told["commit"])
    filling, manifest = (atomic.read_plain(place / name) for name in ("filling", "manifest"))
    snapshot = Snapshot(filling, manifest, facts)
    before: Sequence[Sequence[int]] = told["before"]
    return RunState(
        command=[str(word) for word in told["command"]],
        folders=folders,
        snapshot=snapshot,
        before=frozenset((a, b, c, d) for a, b, c, d in before),
        began=float(told["began"]),
        place=place,
        child=(int(told["child"][0]), str(told["child"][1])) if told["child"] else None,
        ended=told["ended"] and float(told["ended"]),
    )


def _folder(repository: Repository) -> Path:
    """Where the folders of runs are. Raises UnsafeToContinue where a link leads there."""
    base = worktrees.base_of(repository)
    for one in (base, base / "records"):
        if one.is_symlink():
            raise UnsafeToContinue(
                f"{one} is a symbolic link. Nothing is written through it.",
                f"look where it leads, then remove it: rm {pasteable(one)}",
            )
    return base / "records"


def _ancestors() -> Iterator[int]:
    """The processes that started us, one the other, as far as the system says."""
    process = os.getppid()
    while process > 1:
        yield process
        try:
            state = Path(f"/proc/{process}/stat").read_text()
            process = int(state.rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            return


def _identity(process: int) -> str:
    """What no other process has, of this boot or another; empty where there is none such."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        # One that has ended may wait for a parent that never asks: many containers have such.
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
