"""A folder without a sidecar is searched file by file, and not for ever."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from checkpoint_files import bundle, checkpoint, header_with, model, our_filling, saved, tensor
from format_samples import real, safetensors
from jellyml.checkpoint import SIDECAR, Checkpoint, folder_search
from jellyml.errors import BadSnapshot, NoSnapshot
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.formats.registry import format_of
from jellyml.snapshot import serialization
from jellyml.snapshot.serialization import NewerSnapshot

OTHER = bundle().replace(serialization.head_of(bundle()).encode(), b"2" * 40)


def other_filling() -> bytes:
    return serialization.header(OTHER, commit="2" * 40) + OTHER


def filled(data: bytes) -> bytes:
    import io

    file = io.BytesIO(data)
    return b"".join(format_of(file).fill(file, {KEY: our_filling()}).chunks(file))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.pth").write_bytes(saved(model()))
    return folder


def put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


FILES: dict[str, Callable[[], bytes]] = {
    # One archive after the other, as DCP writes tensors: ours is not the last.
    "__1_0.distcp": lambda: saved(tensor(our_filling())) + real("model.distcp"),
    "variables.data-00000-of-00001": lambda: bytes(999) + our_filling() + bytes(999),
    "custom_checkpoint_0.pkl": checkpoint,
    "model-00002-of-00002.safetensors": lambda: filled(safetensors()),
    "model.safetensors": lambda: filled(safetensors({"format": "pt"})),
    "global_step500/mp_rank_00_model_states.pt": checkpoint,
    "a/b/c/model.gguf": lambda: filled(real("model.gguf")),
    "checkpoint_100": lambda: filled(real("model.msgpack")),
    "anything else": lambda: b"bytes" + our_filling(),
}


@pytest.mark.parametrize("name", FILES)
def test_found_in_a_file_of_the_folder(folder: Path, name: str) -> None:
    path = put(folder, name, FILES[name]())
    found = Checkpoint.open(folder)
    assert found.path == path
    assert b"".join(found.bundle()) == bundle()


def test_none_says_how_many_were_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoSnapshot, match=r"no JellyML snapshot; its files were searched"):
        Checkpoint.open(folder)
    put(folder, "z.pth", checkpoint())
    monkeypatch.setattr(folder_search, "_MOST", 1)
    with pytest.raises(NoSnapshot, match=r"the first 1 files were searched"):
        Checkpoint.open(folder)


def test_nothing_deeper_hidden_or_behind_a_linked_folder(folder: Path, tmp_path: Path) -> None:
    put(folder, "a/b/c/d/model.pth", checkpoint())
    with pytest.raises(NoSnapshot, match=r"the first 2 files"):
        Checkpoint.open(folder)
    put(folder, ".git/model.pth", checkpoint())
    put(tmp_path, "elsewhere/model.pth", checkpoint())
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "loop").symlink_to(folder)
    (folder / "itself").symlink_to("itself")
    with pytest.raises(NoSnapshot):
        Checkpoint.open(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "model.pth")
    with pytest.raises(NoSnapshot):
        Checkpoint.open(folder)


def test_links_to_files_are_followed(folder: Path, tmp_path: Path) -> None:
    """The Hugging Face cache holds nothing else."""
    put(tmp_path, "blobs/0123", filled(safetensors()))
    (folder / "model.safetensors").symlink_to("../blobs/0123")
    assert Checkpoint.open(folder).path == folder / "model.safetensors"


def test_a_large_file_of_an_unknown_kind_is_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_search, "_READ_FREELY", 1000)
    data = our_filling() + bytes(1000)
    put(folder, "film.mp4", data)
    with pytest.raises(NoSnapshot):
        Checkpoint.open(folder)
    put(folder, "film.distcp", data)
    assert Checkpoint.open(folder).path.name == "film.distcp"


def test_a_large_one_is_not_read_once_another_has_been_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_search, "_READ_FREELY", 5000)
    put(folder, "a.distcp", our_filling())
    put(folder, "b.distcp", other_filling() + bytes(5000))
    put(folder, "c.gguf", filled(real("model.gguf")) + other_filling() + bytes(5000))
    assert Checkpoint.open(folder).path.name == "a.distcp"


def test_of_several_with_the_same_code_the_likeliest(folder: Path) -> None:
    for name in ("epoch10.pth", "epoch9.pth", "notes.txt", "deep/epoch1.pth"):
        put(folder, name, checkpoint())
    more = bundle() + b"packed in another way"
    put(folder, "old.pth", saved({KEY: tensor(header_with(snapshot_size=len(more)) + more)}))
    assert Checkpoint.open(folder).path.name == "epoch9.pth"


def test_different_code_is_not_one_checkpoint(folder: Path) -> None:
    put(folder, "a.pth", checkpoint())
    put(folder, "deep/b.pth", saved({KEY: tensor(other_filling())}))
    with pytest.raises(NoSnapshot, match=r"a\.pth and deep/b\.pth carry different") as error:
        Checkpoint.open(folder)
    assert error.value.fix == "name one of them."


def test_a_sidecar_below_stands_for_its_folder(folder: Path) -> None:
    put(folder, f"step-9/{SIDECAR}", bundle())
    put(folder, "step-9/model.pth", saved({KEY: tensor(other_filling())}))
    assert Checkpoint.open(folder).path == folder / "step-9"
    put(folder, f"step-10/{SIDECAR}", OTHER)
    with pytest.raises(NoSnapshot, match=r"step-9 and step-10 carry different"):
        Checkpoint.open(folder)


def test_what_is_damaged_is_told_where_nothing_else_is(folder: Path) -> None:
    damaged = bytearray(our_filling())
    damaged[-1] ^= 1
    put(folder, "a.pth", saved({KEY: tensor(bytes(damaged))}))
    with pytest.raises(BadSnapshot, match=r"a\.pth"):
        Checkpoint.open(folder)
    put(folder, "b.pth", checkpoint())
    assert Checkpoint.open(folder).path.name == "b.pth"


def test_nobody_falls_back_from_a_newer_version(folder: Path) -> None:
    put(folder, "a.pth", saved({KEY: tensor(header_with(version="may-1-2031") + bundle())}))
    put(folder, "b.pth", checkpoint())
    with pytest.raises(NewerSnapshot):
        Checkpoint.open(folder)


def test_a_manifest_in_another_shard(folder: Path) -> None:
    record = serialization.manifest_record({"note": "beside"})
    put(folder, "model-2.pth", checkpoint())
    assert Checkpoint.open(folder).manifest is None
    put(folder, "model-3.pth", saved({MANIFEST_KEY: tensor(record)}))
    assert Checkpoint.open(folder).manifest == {"note": "beside"}
    assert Checkpoint.open(folder / "model-2.pth").manifest is None
