"""The mapping that ``create_snapshot`` returns: a dictionary wherever one is wanted."""

import copy
import io
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

import jellyml
from captures import taken
from conftest import Folder
from format_samples import safetensors
from jellyml.checkpoint import Checkpoint
from jellyml.errors import JellyWarning
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.formats.registry import format_of
from jellyml.snapshot import Snapshot, serialization
from jellyml.snapshot.facts import CodeFacts

SRC = str(Path(jellyml.__file__).parents[1])


@pytest.fixture
def snapshot(repo: Folder) -> Snapshot:
    repo.write("train.py", "edited")
    return taken(repo.path)


def holds(mapping: object, snapshot: Snapshot) -> bool:
    """True when the two tensors are in a mapping, with the right bytes."""
    assert isinstance(mapping, dict)
    found = {key: bytes(mapping[key].numpy()) for key in (KEY, MANIFEST_KEY)}
    kinds = {(mapping[key].dtype, mapping[key].dim()) for key in found}
    wanted = {KEY: snapshot.filling, MANIFEST_KEY: snapshot.manifest}
    return found == wanted and kinds == {(torch.uint8, 1)}


def test_every_way_to_spread_it(snapshot: Snapshot) -> None:
    model = {"weights": torch.zeros(2)}
    updated = dict(model)
    updated.update(snapshot)
    inplace = dict(model)
    inplace |= snapshot
    both: list[object] = [
        {**model, **snapshot}, model | snapshot, snapshot | model, updated, inplace,
        OrderedDict(model) | snapshot, dict(snapshot) | model, dict(snapshot.items()) | model,
        dict(zip(snapshot, snapshot.values(), strict=True)) | model, snapshot.copy() | model,
    ]  # fmt: skip
    for mapping in both:
        assert holds(mapping, snapshot)
        assert isinstance(mapping, dict)
        assert set(mapping) == {"weights", KEY, MANIFEST_KEY}
    for same in (copy.copy(snapshot), copy.deepcopy(snapshot), snapshot.copy()):
        assert holds(same, snapshot)


def test_it_is_a_dictionary(snapshot: Snapshot) -> None:
    assert len(snapshot) == 2
    assert KEY in snapshot
    assert list(reversed(snapshot)) == [MANIFEST_KEY, KEY]
    assert snapshot == snapshot
    assert snapshot != dict(snapshot)
    assert snapshot.get(KEY) is snapshot[KEY]
    assert snapshot.get("other", 3) == 3
    assert snapshot.setdefault(KEY, None) is snapshot[KEY]
    assert "tensor" not in repr(snapshot)
    assert str(snapshot.commit) in repr(snapshot)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.__delitem__(KEY), lambda s: s.pop(KEY), lambda s: s.clear(),
        lambda s: s.update({KEY: 1}), lambda s: s.__setitem__(KEY, 1),
        lambda s: s.__ior__({KEY: 1}),
    ],
)  # fmt: skip
def test_changes_stay(change: object, snapshot: Snapshot) -> None:
    assert callable(change)
    change(snapshot)
    assert dict(snapshot).get(KEY, 1) == 1


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickled(protocol: int, snapshot: Snapshot) -> None:
    found = pickle.loads(pickle.dumps(snapshot, protocol))
    assert type(found) is OrderedDict
    assert holds(found, snapshot)


@pytest.mark.parametrize("how", ["whole", "nested", "spread"])
def test_saved_with_torch(how: str, snapshot: Snapshot, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    saved = {"whole": snapshot, "nested": {"a": [snapshot]}, "spread": {"w": 1, **snapshot}}[how]
    torch.save(saved, path)
    found = torch.load(path, weights_only=True)
    assert holds(found["a"][0] if how == "nested" else found, snapshot)
    assert b"".join(Checkpoint.open(path).bundle()) == snapshot.filling[serialization.HEADER_SIZE :]


def python(code: str, *args: object, **options: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-c", code, *map(str, args)]
    environment = os.environ | {"PYTHONPATH": SRC}
    return subprocess.run(command, env=environment, **options)  # type: ignore[call-overload,no-any-return]


def test_its_bytes_need_no_torch(repo: Folder, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import jellyml, pathlib\n"
        "s = jellyml.create_snapshot(sys.argv[1])\n"
        "pathlib.Path(sys.argv[2]).write_bytes(s.filling)\n"
        "assert s.manifest and len(s) == 2\n"
        "try: dict(s)\n"
        "except jellyml.JellyError as error: print(error)\n"
    )
    done = python(code, repo.path, tmp_path / "filling", check=True, capture_output=True)
    assert (tmp_path / "filling").read_bytes() == taken(repo.path).filling
    assert b"need torch" in done.stdout
    assert b"pip install torch" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize(
    "streams",
    [
        "sys.stdin = sys.stdout = sys.stderr = None",
        "os.close(0); os.close(1); os.close(2)",
        "import io; sys.stdin = sys.stdout = sys.stderr = io.StringIO()",
        "sys.stdout.close(); sys.stderr.close()",
        "os.close(0); sys.stdin = None",
    ],
)
@pytest.mark.parametrize("warned", [False, True])
def test_without_standard_streams(streams: str, warned: bool, repo: Folder, tmp_path: Path) -> None:
    repo.write("large.bin", b"\1" * 100)
    limit = 10 if warned else 1000
    code = (
        f"import os, sys, jellyml, pathlib\n{streams}\n"
        f"s = jellyml.create_snapshot(sys.argv[1], max_file_size={limit})\n"
        "pathlib.Path(sys.argv[2]).write_bytes(s.filling)\n"
    )
    python(code, repo.path, tmp_path / "filling", check=True, capture_output=True)
    wanted = taken(repo.path, max_file_size=limit)
    assert (tmp_path / "filling").read_bytes() == wanted.filling


def test_a_group_of_ranks(repo: Folder, tmp_path: Path) -> None:
    repo.write("train.py", "edited")
    code = """
import os, sys, time, torch.distributed as dist
import jellyml
rank, folder, place, wrong = int(sys.argv[1]), *sys.argv[2:]
notes = {"rank": rank} if wrong != str(rank) else "no dictionary"
dist.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
try:
    # The others' folder is not even there: the first rank alone looks.
    given = folder if rank == 0 else "/nonexistent"
    s = jellyml.create_snapshot(given, f"{place}/bundle", group=dist.group.WORLD, notes=notes)
    open(f"{place}/{rank}", "wb").write(s.filling)
except jellyml.JellyError as error:
    open(f"{place}/{rank}", "w").write(f"{type(error).__name__}: {error}")
# gloo aborts a process that still listens to one that has gone, and on a busy machine one whose
# own threads have not ended when Python does.
open(f"{place}/{rank}.done", "w").close()
while not os.path.exists(f"{place}/{1 - rank}.done"):
    time.sleep(0.01)
os._exit(0)
"""

    def run(folder: Path, place: Path, wrong: str = "") -> list[bytes]:
        place.mkdir()
        ranks = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(rank), str(folder), str(place), wrong],
                env=os.environ | {"PYTHONPATH": SRC},
            )
            for rank in range(2)
        ]
        assert [process.wait(60) for process in ranks] == [0, 0]
        return [(place / str(rank)).read_bytes() for rank in range(2)]

    assert run(repo.path, tmp_path / "good") == [taken(repo.path).filling] * 2
    assert (tmp_path / "good/bundle").read_bytes() == taken(repo.path).filling[1024:]
    (tmp_path / "empty").mkdir()
    one, two = run(tmp_path / "empty", tmp_path / "bad")
    assert one == two
    assert one.startswith(b"NotARepository: ")
    one, two = run(tmp_path / "missing", tmp_path / "nowhere")
    assert one == two
    assert one.startswith(b"UsageError: ")
    one, two = run(repo.path, tmp_path / "notes", wrong="1")
    assert one == taken(repo.path).filling
    assert two.startswith(b"UsageError: notes is not a dictionary")


def test_notes(repo: Folder) -> None:
    snapshot = taken(repo.path, notes={"epochs": 3, "odd": {1, 2}})
    notes = serialization.parse_manifest(snapshot.manifest)["notes"]
    assert notes == {"epochs": 3, "odd": [1, 2]}


def test_its_texts_are_what_fill_puts_into_safetensors(snapshot: Snapshot) -> None:
    """Read by hand: eight bytes of length, then JSON."""
    file = io.BytesIO(safetensors())
    edit = format_of(file).fill(file, {KEY: snapshot.filling, MANIFEST_KEY: snapshot.manifest})
    filled = b"".join(edit.chunks(file))
    header = json.loads(filled[8 : 8 + int.from_bytes(filled[:8], "little")])
    assert header["__metadata__"] == {"format": "pt", **snapshot.safetensors_metadata}
    assert Snapshot(b"", b"m", CodeFacts(Path())).safetensors_metadata == {MANIFEST_KEY: "bQ=="}


def test_notes_that_come_later(repo: Folder) -> None:
    early = taken(repo.path, notes={"lr": 0.1, "epoch": 0})
    late = early.with_notes({"epoch": 3, "loss": torch.tensor(0.5), "api_key": "s3cr3t-of-mine"})
    before, after = (serialization.parse_manifest(each.manifest) for each in (early, late))
    assert before["notes"] == {"lr": 0.1, "epoch": 0}
    assert after.pop("notes") == {"lr": 0.1, "epoch": 3, "loss": 0.5, "api_key": "***"}
    before.pop("notes")
    assert after == before
    assert (late.filling, late.commit, late.error) == (early.filling, early.commit, None)
    assert holds(pickle.loads(pickle.dumps(late)), late)
    assert serialization.parse_manifest(taken(repo.path).with_notes({"a": 1}).manifest)[
        "notes"
    ] == {"a": 1}


@pytest.mark.parametrize("notes", ["a text", None, {"deep": "x" * (5 << 20)}])
def test_a_trained_model_is_not_lost_for_a_note(repo: Folder, notes: object) -> None:
    snapshot = taken(repo.path, notes={"lr": 0.1})
    with pytest.warns(jellyml.JellyWarning, match="The notes were not recorded"):
        assert snapshot.with_notes(notes) is snapshot  # type: ignore[arg-type]


def test_code_too_large_for_a_safetensors_header() -> None:
    """No run ends over it, and no file is saved that the hub cannot read."""
    most = 18_000_000
    assert set(Snapshot(bytes(most - 1), b"m", CodeFacts(Path())).safetensors_metadata) == {
        KEY,
        MANIFEST_KEY,
    }
    with pytest.warns(JellyWarning, match="too large"):
        texts = Snapshot(bytes(most), b"m", CodeFacts(Path())).safetensors_metadata
    assert set(texts) == {MANIFEST_KEY}
