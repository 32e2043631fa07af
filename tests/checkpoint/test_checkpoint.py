"""A snapshot is found in whatever torch writes, without torch, and reading next to nothing."""

import io
import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

import jellyml
from checkpoint_files import (
    FIXTURES,
    Counting,
    Member,
    appended,
    archive,
    bundle,
    checkpoint,
    digest,
    header_with,
    model,
    old_filling,
    opened_alone,
    our_filling,
    repacked,
    saved,
    tensor,
)
from conftest import Folder
from jellyml.checkpoint import MANIFEST_SIDECAR, SIDECAR, Checkpoint, bounded_file, find_records
from jellyml.errors import BadSnapshot, JellyError, NoSnapshot
from jellyml.formats.record import CODE, KEY, MANIFEST_KEY
from jellyml.snapshot import serialization
from jellyml.snapshot.serialization import NewerSnapshot

MADE_LATER = bundle() + b"\0"  # told from the first by its bytes; nobody unpacks it here


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "model.pth"
        path.write_bytes(data)
        return path

    return write


def code_in(path: Path) -> bytes:
    return b"".join(Checkpoint.open(path).bundle())


def script(data: bytes, *, extra: bool) -> bytes:
    """A TorchScript file, with the filling as an extra file or as a buffer."""

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(3, 2)
            if not extra:
                self.register_buffer(KEY, tensor(data))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x)  # type: ignore[no-any-return]

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(Net(), torch.zeros(1, 3))
        torch.jit.save(traced, file, {KEY: data} if extra else {})
    return file.getvalue()


def without_checksums(value: object) -> bytes:
    torch.serialization.set_crc32_options(False)
    try:
        return saved(value)
    finally:
        torch.serialization.set_crc32_options(True)


def as_torch_1_13(data: bytes) -> bytes:
    new = (".format_version", ".storage_alignment", "byteorder", ".data/serialization_id")
    return repacked(data, without=new)


whole = our_filling()
LAYOUTS: dict[str, Callable[[], bytes]] = {
    "the tutorial's": checkpoint,
    "flat": lambda: saved(model() | {KEY: tensor(whole)}),
    "first": lambda: saved({KEY: tensor(whole), "model": model()}),
    "nested": lambda: saved({"a": {"b": [{KEY: tensor(whole)}]}, "model": model()}),
    "in a list": lambda: saved([model(), {KEY: tensor(whole)}, 5]),
    "legacy": lambda: saved(
        {"model": model(), KEY: tensor(whole)}, _use_new_zipfile_serialization=False
    ),
    "no checksums": lambda: without_checksums({"model": model(), KEY: tensor(whole)}),
    "torch 1.13": lambda: as_torch_1_13(checkpoint()),
    "repacked": lambda: repacked(checkpoint()),
    "deflated": lambda: repacked(checkpoint(), deflate=True),
    "appended": lambda: appended(saved(model()), f"archive/data/{KEY}", whole),
    "appended to TorchScript": lambda: appended(
        script(b"", extra=True), f"archive/data/{KEY}", whole
    ),
    "a TorchScript buffer": lambda: script(whole, extra=False),
    "a TorchScript extra file": lambda: script(whole, extra=True),
    "another key": lambda: saved({"model": model(), "code": tensor(whole)}),
    "one of many": lambda: archive(
        *(Member(f"m/data/{index}", b"weights" * 300) for index in range(300)),
        Member("m/data/300", whole),
        *(Member(f"m/data/{index}", b"weights" * 300) for index in range(301, 500)),
    ),
    "zip64": lambda: archive(Member("m/data/0", whole, zip64=True)),
    "archives end to end": lambda: checkpoint() + saved(model()),
    "trailing bytes": lambda: b"any format at all" * 100 + whole,
    "a broken archive": lambda: checkpoint()[:-10],
    **{
        f"protocol {protocol}": lambda protocol=protocol: saved(  # type: ignore[misc]
            {"model": model(), KEY: tensor(whole)}, pickle_protocol=protocol
        )
        for protocol in range(6)
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_found_wherever_it_lies(layout: str, model_file: Callable[[bytes], Path]) -> None:
    path = model_file(LAYOUTS[layout]())

    checkpoint = Checkpoint.open(path)

    assert b"".join(checkpoint.bundle()) == bundle()
    assert checkpoint.header.commit == "1" * 40
    assert checkpoint.filling_size == len(whole)
    assert checkpoint.damaged is None
    assert checkpoint.others == 0


def test_torch_itself_reads_what_we_read(model_file: Callable[[bytes], Path]) -> None:
    path = model_file(checkpoint())
    assert torch.load(path)[KEY].numpy().tobytes() == whole


@pytest.mark.parametrize("legacy", [False, True])
def test_a_reference_and_a_slice(legacy: bool, model_file: Callable[[bytes], Path]) -> None:
    """Only the pickle knows that the key's bytes begin in the middle of a record."""
    storage = tensor(b"\0" * 700 + whole + b"junk" * 100)
    code = storage[700 : 700 + len(whole)]
    value = {"rest": storage[:10], "code": code, "w": torch.zeros(3), KEY: code}

    path = model_file(saved(value, _use_new_zipfile_serialization=not legacy))

    assert code_in(path) == bundle()


def test_files_get_renamed(tmp_path: Path) -> None:
    for name in ("epoch=1-step=2.v1.ckpt", "modèle.pth", "m"):
        path = tmp_path / name
        torch.save({KEY: tensor(whole), "model": model()}, path)
        renamed = path.rename(tmp_path / "other.bin")
        assert code_in(renamed) == bundle()


@pytest.mark.parametrize(("name", "changed"), [("clean", []), ("dirty", ["notes.txt"])])
def test_a_file_written_by_1_0(name: str, changed: list[str], folder: Folder) -> None:
    checkpoint = Checkpoint.open(FIXTURES / f"written_by_1_0_{name}.pth")

    folder.write("code.bundle", b"".join(checkpoint.bundle()))
    folder.git("clone", "-q", "code.bundle", "clone")

    clone = Folder(folder.path / "clone")
    assert sorted(clone.git("ls-files").decode().split()) == [".gitignore", *changed, "train.py"]
    assert clone.read("train.py") == (b"print('two')\n" if changed else b"print('one')\n")
    assert (checkpoint.header.sha256, checkpoint.manifest) == (None, None)


# Which of several.


def test_the_one_appended_last_wins(model_file: Callable[[bytes], Path]) -> None:
    later = our_filling(MADE_LATER)
    name = f"archive/data/{KEY}"

    path = model_file(appended(checkpoint(), name, later))
    assert (code_in(path), Checkpoint.open(path).others) == (MADE_LATER, 1)

    path = model_file(appended(appended(saved(model()), name, later), name, whole))
    assert (code_in(path), Checkpoint.open(path).others) == (bundle(), 1)

    path = model_file(b"anything" + later + whole + b"end")
    assert (code_in(path), Checkpoint.open(path).others) == (bundle(), 1)


def test_a_checkpoint_inside_another_keeps_its_code_to_itself(
    model_file: Callable[[bytes], Path],
) -> None:
    teacher = torch.load(
        io.BytesIO(saved({"model": model(), KEY: tensor(our_filling(MADE_LATER))}))
    )
    mine = tensor(whole)
    for value in (
        {KEY: mine, "model": model(), "teacher": teacher},
        {"teacher": teacher, KEY: mine, "model": model()},
        {"model": model(), KEY: mine, "all": [teacher, {"x": teacher}]},
    ):
        path = model_file(saved(value))
        assert (code_in(path), Checkpoint.open(path).others) == (bundle(), 1)


def test_a_damaged_one_is_passed_over_and_told(model_file: Callable[[bytes], Path]) -> None:
    damaged = bytearray(our_filling(MADE_LATER))
    damaged[1100] ^= 1

    path = model_file(appended(checkpoint(), f"archive/data/{KEY}", bytes(damaged)))

    assert code_in(path) == bundle()
    assert "not those that were saved" in str(Checkpoint.open(path).damaged)


def test_nobody_falls_back_from_a_newer_version_to_an_older_snapshot(
    model_file: Callable[[bytes], Path],
) -> None:
    newer = header_with(version="may-1-2031") + bundle()
    path = model_file(appended(checkpoint(), f"archive/data/{KEY}", newer))

    with pytest.raises(NewerSnapshot, match=r"model\.pth .*newer JellyML \(version 'may-1-2031'\)"):
        Checkpoint.open(path)


# The manifest.


MANIFEST = {"commit": "1" * 40, "command": ["train.py", "--lr", "0.1"]}


@pytest.mark.parametrize("legacy", [False, True])
def test_the_manifest_lies_beside_the_filling(
    legacy: bool, model_file: Callable[[bytes], Path]
) -> None:
    recorded = {MANIFEST_KEY: tensor(serialization.manifest_record(MANIFEST))}
    for value in (
        {"model": model(), KEY: tensor(whole), **recorded},
        {"model": model(), **recorded, KEY: tensor(whole)},
        {KEY: tensor(whole), **recorded, **{f"layer{i}": torch.zeros(2) for i in range(20)}},
    ):
        checkpoint = Checkpoint.open(
            model_file(saved(value, _use_new_zipfile_serialization=not legacy))
        )
        assert checkpoint.manifest == MANIFEST
        assert b"".join(checkpoint.bundle()) == bundle()


def test_an_appended_manifest_wins_too(model_file: Callable[[bytes], Path]) -> None:
    older = serialization.manifest_record({"commit": "older"})
    data = saved({"model": model(), KEY: tensor(whole), MANIFEST_KEY: tensor(older)})
    newer = serialization.manifest_record(MANIFEST)
    path = model_file(appended(data, f"archive/data/{MANIFEST_KEY}", newer))
    assert Checkpoint.open(path).manifest == MANIFEST


def test_none_is_none(model_file: Callable[[bytes], Path]) -> None:
    assert Checkpoint.open(model_file(checkpoint())).manifest is None


def test_there_is_none_beside_a_filling_of_1_0(model_file: Callable[[bytes], Path]) -> None:
    """It wrote none, so nothing is searched for."""
    record = serialization.manifest_record(MANIFEST)
    path = model_file(saved({KEY: tensor(old_filling()), MANIFEST_KEY: tensor(record)}))
    assert Checkpoint.open(path).manifest is None


def test_a_damaged_manifest_does_not_hide_the_code(model_file: Callable[[bytes], Path]) -> None:
    damaged = bytearray(serialization.manifest_record(MANIFEST))
    damaged[-5] ^= 1
    path = model_file(checkpoint(**{MANIFEST_KEY: tensor(bytes(damaged))}))

    checkpoint_ = Checkpoint.open(path)

    assert b"".join(checkpoint_.bundle()) == bundle()
    with pytest.raises(BadSnapshot, match=r"model\.pth"):
        _ = checkpoint_.manifest


# What cannot be used says why, and what to do.


def test_no_snapshot(model_file: Callable[[bytes], Path]) -> None:
    path = model_file(saved(model()))
    with pytest.raises(NoSnapshot) as caught:
        Checkpoint.open(path)
    assert caught.value.problem == f"{path} carries no JellyML snapshot."
    assert "torch.save({..., **jellyml.create_snapshot()}, ...)" in caught.value.fix


@pytest.mark.parametrize("section", ["code", None])
def test_no_code_because_its_capture_failed(
    model_file: Callable[[bytes], Path], section: str | None
) -> None:
    failed: dict[str, object] = {"commit": None, "error": "git was \x1b[2J not found."}
    record = serialization.manifest_record({section: failed} if section else failed)
    path = model_file(saved({"model": model(), MANIFEST_KEY: tensor(record)}))
    with pytest.raises(NoSnapshot, match=r"capturing it failed .*not found") as caught:
        Checkpoint.open(path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "Git LFS pointer"),
        (b"not a model", "carries no JellyML snapshot"),
        (saved({KEY: tensor(whole[:2000] if len(whole) > 2000 else whole[:-9])}), "is cut off"),
        (saved({KEY: tensor(header_with() + bytes(5000))}), "not a git bundle"),
        (saved({KEY: whole}), "cannot be used"),  # bytes: torch stores them as escaped text
    ],
    ids=["empty", "pointer", "text", "cut", "no bundle", "bytes"],
)
def test_the_reason_is_told(data: bytes, problem: str, model_file: Callable[[bytes], Path]) -> None:
    path = model_file(data)
    with pytest.raises((NoSnapshot, BadSnapshot), match=problem) as caught:
        Checkpoint.open(path)
    assert str(path) in caught.value.problem
    assert caught.value.fix


def test_what_is_no_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    if hasattr(os, "mkfifo"):
        os.mkfifo(fifo)
        with pytest.raises(NoSnapshot, match="is not a file"):
            Checkpoint.open(fifo)
    long = tmp_path / ("x" * 5000)
    for path in (tmp_path / "missing.pth", tmp_path / "missing" / "m.pth", long):
        with pytest.raises(JellyError) as caught:
            Checkpoint.open(path)
        assert caught.value.fix
    with pytest.raises(NoSnapshot, match="There is no file"):
        Checkpoint.open(tmp_path / "missing.pth")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_a_file_that_cannot_be_read() -> None:
    with pytest.raises(JellyError, match="could not be read") as caught:
        Checkpoint.open(Path("/proc/self/mem"))
    assert caught.value.fix


def test_a_file_that_changes_after_it_was_found(model_file: Callable[[bytes], Path]) -> None:
    path = model_file(checkpoint())
    opened = Checkpoint.open(path)
    data = bytearray(path.read_bytes())
    data[opened.record.offset + 1024 + 50] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadSnapshot, match=r"model\.pth .*not those that were saved"):
        list(opened.bundle())
    path.unlink()
    with pytest.raises(NoSnapshot):
        list(opened.bundle())


# Folders.


def test_a_folder_with_a_sidecar(tmp_path: Path) -> None:
    (tmp_path / SIDECAR).write_bytes(bundle())
    assert code_in(tmp_path) == bundle()
    assert Checkpoint.open(tmp_path).manifest is None

    (tmp_path / MANIFEST_SIDECAR).write_text(f'{{"bundle_sha256": "{digest(bundle())}"}}')
    opened = Checkpoint.open(tmp_path)
    assert b"".join(opened.bundle()) == bundle()
    assert opened.manifest == {"bundle_sha256": digest(bundle())}
    assert (opened.others, opened.filling_size) == (0, len(bundle()))


@pytest.mark.parametrize(
    "manifest", ["", "[]", '{"bundle_sha256": 5}', f'{{"bundle_sha256": "{"0" * 64}"}}']
)
def test_a_sidecar_that_is_not_the_manifests_is_refused(manifest: str, tmp_path: Path) -> None:
    (tmp_path / SIDECAR).write_bytes(bundle())
    (tmp_path / MANIFEST_SIDECAR).write_text(manifest)
    with pytest.raises(BadSnapshot):
        Checkpoint.open(tmp_path)


def test_a_folder_without_one(tmp_path: Path) -> None:
    with pytest.raises(NoSnapshot, match=r"folder .* carries no JellyML snapshot"):
        Checkpoint.open(tmp_path)
    (tmp_path / SIDECAR).write_bytes(b"not a bundle at all")
    with pytest.raises(BadSnapshot, match="not a git bundle"):
        Checkpoint.open(tmp_path)
    (tmp_path / SIDECAR).unlink()
    (tmp_path / SIDECAR).mkdir()
    with pytest.raises(NoSnapshot):
        Checkpoint.open(tmp_path)


# Light.


@pytest.mark.skipif(sys.platform == "win32", reason="files are not sparse by themselves there")
def test_ten_thousand_tensors_in_eight_gigabytes(tmp_path: Path) -> None:
    """A sparse file, as torch writes it with the data skipped; ours is put in afterwards."""
    path = tmp_path / "large.pth"
    weights = {f"model.layers.{i}.attention.weight": torch.empty(200_000) for i in range(10_000)}
    with torch.serialization.skip_data():
        torch.save({"state": weights, KEY: tensor(whole)}, path)
    with zipfile.ZipFile(path) as known, path.open("r+b") as file:
        info = known.getinfo("large/data/10000")
        file.seek(info.header_offset + 26)
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
        file.seek(info.header_offset + 30 + name + extra)
        file.write(whole)
    assert path.stat().st_size > 8_000_000_000

    outcome = opened_alone(path)

    assert outcome.size == len(bundle())
    assert outcome.seconds < 60
    assert outcome.megabytes < 40
    assert outcome.heavy == []


def test_a_key_costs_few_bytes_whatever_lies_around_it() -> None:
    pickled = zipfile.ZipFile(io.BytesIO(checkpoint())).read("archive/data.pkl")
    weights = (Member(f"m/data/{index}", bytes(10_000)) for index in range(5_000))
    data = archive(Member("m/data.pkl", pickled), *weights, Member("m/data/5000", whole))
    file = Counting(data)

    assert next(find_records(file, CODE, serialization.prove, []))[0].size == len(bundle())
    assert file.taken < len(data) / 50
    assert file.times < 30


def test_saying_no_costs_few_bytes_too() -> None:
    weights = (Member(f"m/data/{index}", bytes(10_000)) for index in range(5_000))
    file = Counting(archive(Member("m/data.pkl", b"N."), *weights))

    assert list(find_records(file, CODE, serialization.prove, [])) == []
    assert file.taken < 5_000 * 66 + 1_000_000


def test_saying_no_reads_any_other_file_once(
    model_file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not once more for the manifest of a capture that failed."""
    path = model_file(bytes(20 << 20))
    monkeypatch.setattr(bounded_file, "_MOST_READINGS", 1)
    monkeypatch.setattr(bounded_file, "_READ_FREELY", 1 << 20)
    with pytest.raises(NoSnapshot):
        Checkpoint.open(path)


def test_old_and_new_fillings_are_both_opened(model_file: Callable[[bytes], Path]) -> None:
    assert code_in(model_file(saved({KEY: tensor(old_filling())}))) == bundle()


def test_that_there_is_one_alone_is_known_without_a_search(
    repo: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A show of ten thousand arrays would take three times as long."""
    path = repo.path / "model.pth"
    weights = {f"w{number}": torch.ones(1) for number in range(50)}
    torch.save({**weights, **jellyml.create_snapshot(repo.path)}, path)
    opened = Checkpoint.open(path)

    def searched(*_: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr("jellyml.formats.containers.pickle.machine.tensors", searched)
    monkeypatch.setattr("jellyml.formats.unknown.inside", searched)
    assert opened.others == 0


def test_what_was_held_is_not_read_again(tmp_path: Path) -> None:
    """And once only: held by a hundred checkpoints it would fill the memory."""
    path = tmp_path / "model.pth"
    path.write_bytes(checkpoint())
    known = Checkpoint.open(path, cache_size=1 << 20)
    beyond = Checkpoint.open(path, cache_size=len(bundle()) - 1)
    path.write_bytes(b"something else by now")

    assert b"".join(known.bundle()) == bundle()
    for one in (known, beyond):
        with pytest.raises(BadSnapshot):
            list(one.bundle())
