"""A kill or an error at any call of fill and strip leaves the old checkpoint or the new one.

The next command mends what was left half done, and leaves nothing behind.
"""

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from checkpoint_files import bundle, checkpoint, model, our_filling, saved, tensor
from faults import ERRORS, STRACE, Bench, Ended, Fault, Point, all_of, some
from format_samples import safetensors
from jellyml.checkpoint import SIDECAR, Checkpoint
from jellyml.checkpoint.fill import fill
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.formats.registry import format_of
from jellyml.snapshot import serialization

SIZE = min(1.0, float(os.environ.get("TORTURE", "1")))
FILL = ("fill", "model", "--from", "source.pth")
STRIP = ("strip", "model")
SOURCE = checkpoint(**{MANIFEST_KEY: tensor(serialization.manifest_record({"note": "made here"}))})
EARLIER = our_filling(bundle() + b"earlier")

pytestmark = pytest.mark.skipif(not STRACE, reason="strace is not installed")
Seen = dict[str, bytes]


def filled(data: bytes) -> bytes:
    file = io.BytesIO(data)
    edit = format_of(file).fill(file, {KEY: our_filling(), MANIFEST_KEY: b"of another snapshot"})
    return b"".join(edit.chunks(file))


@dataclass(frozen=True)
class Trial:
    """A command on a checkpoint; in a folder the file is one of its files."""

    name: str
    words: tuple[str, ...]
    data: bytes
    folder: bool = False
    first: bool = False  # filled before the command


TRIALS = (
    Trial("fill, in place", FILL, saved(model())),
    Trial("fill again, in place", FILL, filled(saved(model()))),
    Trial("strip, in place", STRIP, filled(saved(model()))),
    Trial("fill, a copy", FILL, safetensors({"format": "pt"})),
    Trial("strip, a copy", STRIP, filled(safetensors({"format": "pt"}))),
    Trial("fill --replace", (*FILL, "--replace"), checkpoint()),
    Trial("strip by wiping", STRIP, checkpoint()),
    Trial("fill a folder", FILL, b"weights", folder=True),
    Trial("fill a folder again", FILL, b"weights", folder=True, first=True),
    Trial("strip a folder", STRIP, b"weights", folder=True, first=True),
)
QUICK = {"fill, in place": 100, "strip, in place": 100}  # all kills there; elsewhere a few


class Place:
    """Where a trial is made again and again."""

    def __init__(self, bench: Bench, folder: Path, trial: Trial) -> None:
        self.bench = bench
        self.folder = folder
        self.trial = trial
        self.told = False  # that something was mended
        self.before = self.fresh()
        ended, self.points = bench.traced(folder, trial.words)
        assert ended.status == 0, ended
        self.after = self.seen()
        assert self.before != self.after

    def fresh(self) -> Seen:
        for path in (*self.folder.glob("model/*"), *self.folder.glob("*")):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.folder / "source.pth").write_bytes(SOURCE)
        place = self.folder / "model"
        if self.trial.folder:
            place.mkdir()
            place /= "model.bin"
        place.write_bytes(self.trial.data)
        if self.trial.first:
            (self.folder / "other.pth").write_bytes(saved({KEY: tensor(EARLIER)}))
            fill(self.folder / "model", source=self.folder / "other.pth")
            (self.folder / "other.pth").unlink()
        return self.seen()

    def seen(self) -> Seen:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def is_old_or_new(self, fault: Fault) -> str:
        """As it is after the fault and a command that only reads."""
        said = self.bench.run(self.folder, ("show", "model")).said
        warned = "\n".join(line for line in said.split("\n") if line.startswith("Warning: "))
        self.told |= "is again what it was before" in warned
        if (self.folder / "model" / SIDECAR).exists():
            found = Checkpoint.open(self.folder / "model")
            digest = hashlib.sha256(b"".join(found.bundle())).hexdigest()
            assert (found.manifest or {})["bundle_sha256"] == digest, fault
        seen = _counting(self.seen())
        for name, state in (("before", self.before), ("after", self.after)):
            if seen == _counting(state):
                return name
        raise AssertionError(f"{fault}: neither the old one nor the new one. {said}")

    def was_told_the_truth(self, fault: Fault, ended: Ended) -> None:
        """A command that lived has done its work, or says to the byte what it left."""
        if ended.status < 0:
            return
        seen = self.seen()
        if ended.status == 0:
            assert seen == self.after, (fault, "it said nothing", ended)
        elif "as it was" in ended.said:
            assert seen == self.before, (fault, sorted(seen.keys() ^ self.before.keys()), ended)
        elif seen != self.before:
            assert _counting(seen) == _counting(self.after), (fault, ended)
            assert "was changed, but the system did not confirm" in ended.said, (fault, ended)

    def holds(self, fault: Fault) -> str:
        self.fresh()
        ended = self.bench.run(self.folder, self.trial.words, fault)
        self.was_told_the_truth(fault, ended)
        verdict = self.is_old_or_new(fault)
        ended = self.bench.run(self.folder, self.trial.words)
        done = "carries no" in ended.said or "There is no snapshot beside" in ended.said
        assert ended.status == 0 or (done and verdict == "after"), (fault, ended)
        assert self.seen() == self.after, fault
        return verdict


def _counting(seen: Seen) -> Seen:
    """What readers look at: not what is half written, and a manifest only beside its bundle."""
    hidden = (".", MANIFEST_KEY)
    return {path: data for path, data in seen.items() if not Path(path).name.startswith(hidden)}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "bench")
    yield bench
    bench.close()


def tried(place: Place, faults: list[Fault]) -> Counter[str]:
    verdicts: Counter[str] = Counter()
    failures = []
    for fault in faults:
        try:
            verdicts[place.holds(fault)] += 1
        except AssertionError as error:
            failures.append(str(error)[:1000])
    assert not failures, "\n\n".join(failures)
    return verdicts


def of_jellyml(points: list[Point]) -> list[Point]:
    return [one for one in points if one.process == 0]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_kill_leaves_the_old_one_or_the_new(bench: Bench, tmp_path: Path, trial: Trial) -> None:
    (tmp_path / "place").mkdir()
    place = Place(bench, tmp_path / "place", trial)
    faults = all_of(of_jellyml(place.points), ("KILL",))
    chosen = some(faults, QUICK.get(trial.name, 6), seed=3)
    verdicts = tried(place, chosen)
    if trial.name in QUICK:
        assert len(chosen) == len(faults) >= 2
        assert verdicts["before"]
        assert place.told == (trial.words == FILL)  # to cut off a file cannot be half done


@pytest.mark.torture
@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_any_fault_leaves_the_old_one_or_the_new(
    bench: Bench, tmp_path: Path, trial: Trial
) -> None:
    (tmp_path / "place").mkdir()
    place = Place(bench, tmp_path / "place", trial)
    faults = all_of(of_jellyml(place.points), ("KILL", *ERRORS))
    tried(place, some(faults, max(1, round(len(faults) * SIZE)), seed=3))


def _last(points: list[Point], call: str, count: int) -> list[Point]:
    return sorted(one for one in of_jellyml(points) if one.call == call)[-count:]


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_what_is_said_of_a_full_disk_is_true(bench: Bench, tmp_path: Path, trial: Trial) -> None:
    """Left as it was to the byte, nothing beside it; or changed, and that is what is said."""
    (tmp_path / "place").mkdir()
    place = Place(bench, tmp_path / "place", trial)
    calls = {"fsync": 5, "write": 2, "rename": 2, "unlink": 2, "ftruncate": 1}
    points = [point for call, count in calls.items() for point in _last(place.points, call, count)]
    tried(place, all_of(points, ("ENOSPC",)))
