"""What must be refused is refused, what must load loads, and nothing else comes of either."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hostile import BOMBS, CASES, PACKS, Case, good, holding
from jellyml import working_tree
from jellyml.errors import BadSnapshot
from jellyml.quarantine import quarantine
from jellyml.quarantine.quarantine import quarantined

MEMORY = 256 << 20  # bytes, of git or of us
SLOWEST = 20  # seconds, where ten of work are allowed
TORTURE = float(os.environ.get("TORTURE", "1"))
SOURCE = str(Path(working_tree.__file__).parents[2])

# One bundle, in a process of its own: its memory and its children's can be told apart.
TRIAL = """
import json, re, resource, sys, time
from pathlib import Path
from jellyml.quarantine.quarantine import quarantined
from jellyml.errors import BadSnapshot

path, folder = map(Path, sys.argv[1:])
refused, began = "", time.monotonic()
with path.open("rb") as file:
    try:
        with quarantined(iter(lambda: file.read(1 << 20), b""), size=path.stat().st_size,
                         folder=folder):
            pass
    except BadSnapshot as error:
        refused = str(error)
# Not RUSAGE_SELF: that begins with what our parent had.
ours = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
gits = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([refused, max(int(ours), gits) << 10, time.monotonic() - began]))
"""


def several(cases: Mapping[str, Case]) -> pytest.MarkDecorator:
    """The test once for each case; the slow ones only on request."""
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=name, marks=pytest.mark.torture if case.slow else ())
            for name, case in cases.items()
        ],
    )


@pytest.fixture
def snapped(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user whose git is set to run a program at every turn; the file appears if it did."""
    mark = tmp_path / "snapped"
    program = home / "program"
    program.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    program.chmod(0o755)
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        (hooks / name).symlink_to(program)
    (home / ".gitconfig").write_text(
        f"""
        [filter "evil"]
            smudge = {program}
            clean = {program}
            process = {program}
            required
        [core]
            hooksPath = {hooks}
            fsmonitor = {program}
            alternateRefsCommand = {program}
            pager = {program}
        [init]
            templateDir = {hooks.parent}
        [uploadpack]
            packObjectsHook = {program}
        """
    )
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield mark
    assert not mark.exists(), "a program of the user's has run"
    assert not any(work.iterdir()), "something was written to the current folder"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The folder for the quarantine: nothing stays in it, and nothing appears beside it."""
    folder = tmp_path / "place"
    folder.mkdir()
    before = set(tmp_path.iterdir())
    yield folder
    assert not any(folder.iterdir()), "something was left in the temporary folder"
    assert set(tmp_path.iterdir()) <= before | {tmp_path / "bundle"}


def outcome(content: bytes, place: Path) -> str:
    """The words of the refusal, if it is refused."""
    try:
        with quarantined([content], size=len(content), folder=place) as incoming:
            listed = incoming.git.run("ls-tree", "-rtz", "--full-tree", incoming.commit)
            assert incoming.entries == listed.count(b"\0")
    except BadSnapshot as error:
        return str(error)
    return ""


def as_expected(case: Case, refusal: str) -> bool:
    assert len(refusal) < 400
    assert refusal.isprintable(), "a terminal could obey it"
    return bool(re.search(case.refused, refusal)) if case.refused else not refusal


@several({name: case for name, case in CASES.items() if name not in BOMBS})
def test_a_bundle_comes_to_what_it_must(case: Case, snapped: Path, place: Path) -> None:
    refusal = outcome(case.build(), place)

    assert as_expected(case, refusal), refusal


@pytest.mark.skipif(sys.platform != "linux", reason="measured as Linux tells it")
@several(BOMBS)
def test_time_and_memory_are_bounded(
    case: Case, snapped: Path, place: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(case.build())

    answer = subprocess.run(
        [sys.executable, "-c", TRIAL, path, place],
        env=os.environ | {"PYTHONPATH": SOURCE},
        capture_output=True,
        check=True,
        timeout=5 * SLOWEST,
    ).stdout
    refusal, memory, seconds = json.loads(answer)

    assert as_expected(case, refusal), refusal
    assert memory < MEMORY
    assert seconds < SLOWEST


@several(PACKS | BOMBS)
def test_the_walk_refuses_what_the_kernel_would(
    case: Case, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no limits: every bundle again, and none may reach git that is a bomb."""
    monkeypatch.setattr(quarantine, "KERNEL_LIMITS", False)
    content = case.build()
    began = time.monotonic()

    refusal = outcome(content, place)

    assert as_expected(case, refusal), refusal
    assert time.monotonic() - began < SLOWEST


def test_the_trap_would_snap(home: Path, snapped: Path, tmp_path: Path) -> None:
    """The programs of ``snapped`` do run where git is used without care."""
    (tmp_path / "bundle").write_bytes(holding(b".gitattributes", b"* filter=evil\n"))

    subprocess.run(["git", "clone", "-q", tmp_path / "bundle", home / "clone"], check=False)

    assert snapped.exists()
    snapped.unlink()


def damaged(content: bytes, seed: int) -> bytes:
    """One bit turned, anywhere behind the header."""
    chance = random.Random(seed)
    changed = bytearray(content)
    changed[chance.randrange(content.index(b"\n\n") + 2, len(content))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def test_no_turned_bit_goes_unseen(place: Path) -> None:
    content = good()

    for seed in range(50):
        assert outcome(damaged(content, seed), place), seed


def test_no_lost_end_goes_unseen(place: Path) -> None:
    content = good()

    for length in range(0, len(content), 7):
        assert outcome(content[:length], place), length


@pytest.mark.torture
def test_whatever_is_turned_it_loads_whole_or_not(place: Path) -> None:
    """Header too: a ref's name may change, the commit may not."""
    content = CASES["other branches and tags"].build()
    with quarantined([content], size=len(content), folder=place) as incoming:
        tree = incoming.tree

    for seed in range(round(5000 * TORTURE)):
        chance = random.Random(seed)
        changed = bytearray(content)
        for _ in range(chance.choice((1, 1, 2, 50))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        try:
            with quarantined([bytes(changed)], size=len(changed), folder=place) as incoming:
                assert incoming.tree == tree
        except BadSnapshot:
            pass
