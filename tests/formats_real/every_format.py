"""The library writes, we fill, the library reads the same, we take the code out, we strip.

`make test-formats` runs it. What it finds goes to ``build/formats``, and from there, by
``table.py``, into ``docs/formats.md``.
"""

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from case import Case
from cases import CASES
from keyed import WAYS
from results import keep, versions

import jellyml
from checkpoint_files import bundle, opened_alone, our_filling
from jellyml.checkpoint import Checkpoint
from jellyml.errors import CannotCarry
from jellyml.formats.edit import Edit
from jellyml.formats.record import CODE, KEY, MANIFEST_KEY
from jellyml.formats.registry import format_of
from jellyml.snapshot import Snapshot, serialization
from jellyml.snapshot.facts import CodeFacts

FACTS: dict[str, object] = {"commit": "1" * 40, "note": "made here"}
PAYLOAD = {KEY: our_filling(), MANIFEST_KEY: serialization.manifest_record(FACTS)}

# What the libraries warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    one: Case = request.param
    versions(one.name, (one.library, *one.needs), CASES.index(one))
    return one


@pytest.fixture
def row(case: Case) -> Iterator[dict[str, object]]:
    """What the table says of it; written only once all has been seen to hold."""
    order = CASES.index(case)
    kept: dict[str, object] = {
        "name": case.name,
        "format": case.format,
        "version": versions(case.name, [case.library], order),
        "order": order,
        "line": case.line,
    }
    yield kept
    if "fill" in kept:
        keep(kept)


@pytest.fixture
def path(case: Case, tmp_path: Path) -> Path:
    path = tmp_path / case.file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case.write(path)
    return path


def snapshot() -> Snapshot:
    return Snapshot(PAYLOAD[KEY], PAYLOAD[MANIFEST_KEY], CodeFacts(Path(), commit="1" * 40))


def made(edit: Edit, old: bytes) -> bytes:
    return b"".join(edit.chunks(BytesIO(old)))


def read(case: Case, path: Path) -> dict[str, object]:
    return {name: reader(path) for name, reader in case.readers.items()}


def test_a_real_file(case: Case, path: Path, row: dict[str, object]) -> None:
    original = path.read_bytes()
    known = format_of(BytesIO(original))
    assert known.name == case.format
    if case.refused:
        with pytest.raises(CannotCarry, match=case.refused) as refusal:
            known.fill(BytesIO(original), PAYLOAD)
        row |= {"fill": False, "reason": refusal.value.problem}
        return
    before = read(case, path)
    assert before

    edit = known.fill(BytesIO(original), PAYLOAD)
    filled = made(edit, original)
    jellyml.fill(path, snapshot())

    assert path.read_bytes() == filled
    assert read(case, path) == before
    assert path.read_bytes() == filled
    found = Checkpoint.open(path)
    assert b"".join(found.bundle()) == bundle()
    assert found.manifest == FACTS
    alone = opened_alone(path)
    assert (alone.size, alone.heavy) == (len(bundle()), [])
    assert jellyml.strip(path).how == "exact"
    assert path.read_bytes() == original
    row |= {
        "fill": True,
        "in place": edit.in_place,
        "caution": edit.caution,
        "readers": list(case.readers),
    }


def test_a_wiped_file(case: Case, path: Path) -> None:
    """Zeros where the code was, and every reader goes on."""
    if case.refused:
        return
    before, original = read(case, path), path.read_bytes()
    known = format_of(BytesIO(original))
    filled = made(known.fill(BytesIO(original), PAYLOAD), original)
    file = BytesIO(filled)
    record = next(known.records(file, CODE))

    wiped = made(known.wipe(file, [record]), filled)

    assert len(wiped) == len(filled)
    assert bundle() not in wiped
    path.write_bytes(wiped)
    assert read(case, path) == before
    assert not any(
        each.head(BytesIO(wiped), 36) == CODE.magic for each in known.records(BytesIO(wiped), CODE)
    )


@pytest.mark.parametrize("name", WAYS)
def test_saved_under_the_key(name: str, tmp_path: Path) -> None:
    """Found whatever the user's own way was, and not taken for something that fill put there."""
    path = tmp_path / ("model.npz" if "savez" in name else "model.bin")
    WAYS[name](path, PAYLOAD)

    found = Checkpoint.open(path)
    assert b"".join(found.bundle()) == bundle()
    assert found.manifest == FACTS
    file = BytesIO(path.read_bytes())
    assert format_of(file).strip(file, [KEY, MANIFEST_KEY]) is None
