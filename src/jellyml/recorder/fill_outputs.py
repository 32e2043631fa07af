"""Put the code of a run into what it wrote, and say of each file what came of it."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from jellyml import files, locks
from jellyml.amend import refuse_links
from jellyml.checkpoint import Checkpoint
from jellyml.code import filling
from jellyml.embed import fill
from jellyml.errors import BadSnapshot, JellyError, pasteable
from jellyml.recorder.candidates import Candidate, Doubtful, candidates
from jellyml.recorder.plan import Plan
from jellyml.recorder.watch import Mark, mark_of
from jellyml.snapshot import Snapshot

MOST_ADDED = 2_000_000_000  # bytes, so that a run that writes a thousand files fills no disk

_CLOCK = 5.0  # seconds that two machines' clocks may be apart

Kind = Literal["filled", "own", "not filled"]
Whose = Literal["ours", "run", "earlier"]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one checkpoint; ``why`` for those not filled, and what to know of the others."""

    path: Path
    kind: Kind
    why: str = ""
    size: int = 0


def fill_written(
    written: Iterable[Path], plan: Plan, *, mixed: str = "", most: int = MOST_ADDED
) -> Iterator[Result]:
    """In place, the largest first, until ``most`` bytes were added.

    ``mixed`` says why nobody can tell whose the files are. Raises nothing.
    """
    added = 0
    found = list(candidates(written))
    for one in found:
        if isinstance(one, Doubtful):
            why = f"it may be data. Fix: jellyml fill {pasteable(one.path)}"
            yield Result(one.path, "not filled", why)
    chosen = (one for one in found if isinstance(one, Candidate))
    for one in sorted(chosen, key=lambda one: (-one.size, one.path)):
        whose = carried(one, plan)
        if whose:
            yield _left_alone(one.path, whose)
        elif mixed:
            yield Result(one.path, "not filled", mixed)
        elif added + len(plan.snapshot.filling) > most:
            why = f"enough was added already. Fix: jellyml fill {pasteable(one.path)}"
            yield Result(one.path, "not filled", why)
        else:
            result = _filled(one.path, plan.snapshot)
            added += result.size
            yield result


class BeingWritten(JellyError):
    """A file that changed, or may, before it could be filled."""


def put(path: Path, snapshot: Snapshot) -> int:
    """Fill in place; the bytes that were put in. Raises JellyError."""
    if path.is_file() and locks.is_written(path):
        raise BeingWritten("Another program is writing it.", f"jellyml fill {pasteable(path)}")
    seen = path.stat()
    size = fill(path, snapshot).size
    with suppress(OSError):  # who takes the newest up again, or tidies up, goes by the time
        os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return size


def put_beside(path: Path, mark: Mark, plan: Plan) -> int:
    """The same through a copy that takes the file's place, if that is still the one of ``mark``.

    Whoever has the old file open goes on reading it. UnsafeToContinue for one of several names:
    they would name different files then.
    """
    refuse_links(path, follow=False)
    beside = path.with_name(f".jellyml-record-{os.getpid():x}-{time.monotonic_ns():x}")
    plan.copying(beside)
    try:
        beside.touch(mode=0o600)  # before there is anything to be seen in it
        shutil.copyfile(path, beside)
        shutil.copystat(path, beside)
        size = fill(beside, plan.snapshot).size
        os.utime(beside, ns=(mark[2], mark[2]))  # trainers that tidy up go by the time
        if mark_of(path) != mark or locks.is_written(path):
            raise BeingWritten("It is being written.")
        beside.replace(path)
        files.sync_folder(path.parent)
        return size
    finally:
        with suppress(OSError):
            beside.unlink()


def carried(one: Candidate, plan: Plan) -> Whose | None:
    """Whose snapshot is in it: ours (of a pass before this one), the run's, an earlier run's."""
    try:
        found = Checkpoint.open(one.path).manifest
        if found is None:  # JellyML 1.0 says nothing
            return "run"
        ours = filling.parse_manifest(plan.snapshot.manifest)
        if found | {"bundle_sha256": None} == ours | {"bundle_sha256": None}:
            return "ours"
        began = datetime.fromisoformat(str(found["created"])).timestamp()
        earlier = began < plan.began - _CLOCK
    except BadSnapshot:
        return "run"  # not ours to replace
    except (JellyError, OSError):
        return None
    except (ValueError, KeyError, OverflowError):
        return "run"
    if earlier and one.folder:
        return None  # beside weights that are new
    return "earlier" if earlier else "run"


def _left_alone(path: Path, whose: Whose) -> Result:
    if whose == "ours":
        return Result(path, "filled")
    if whose == "run":
        return Result(path, "own")
    why = f"it carries an earlier run's code. Fix: jellyml fill --replace {pasteable(path)}"
    return Result(path, "not filled", why)


def _filled(path: Path, snapshot: Snapshot) -> Result:
    try:
        return Result(path, "filled", size=put(path, snapshot))
    except JellyError as error:
        return Result(path, "not filled", str(error))
    except Exception as error:  # noqa: BLE001 (the run is over; its status stands)
        return Result(path, "not filled", f"{type(error).__name__}: {error}")
