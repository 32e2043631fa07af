"""Checkpoints in a real S3 server (moto's, on loopback), through s3fs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import jellyml
from at_the_keyboard import start_command, type_command
from checkpoint_files import saved
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.checkpoint.fill import fill
from jellyml.errors import JellyError, NoSnapshot
from jellyml.remote.address import Remote

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
moto = pytest.importorskip("moto.server", reason="moto is not installed")
boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")

SECRET = "hunter2/secret+key"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = boto3.resource("s3", endpoint_url=server).Bucket("models")
    made.create()
    yield made
    made.objects.all().delete()
    made.delete()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every call of S3 that is made, and the range in it."""
    calls: list[tuple[str, str]] = []
    plain = s3fs.S3FileSystem._call_s3

    async def counted(self: Any, method: str, *words: Any, **more: Any) -> Any:
        told = {
            name: value for each in words if isinstance(each, dict) for name, value in each.items()
        }
        calls.append((method, str((told | more).get("Range", ""))))
        return await plain(self, method, *words, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return calls


@pytest.fixture
def snapshot(repo: Folder) -> jellyml.Snapshot:
    repo.write("train.py", "print('three')\n")
    repo.write("noise.bin", os.urandom(1_500_000))
    return jellyml.create_snapshot(repo.path)


def keyed(snapshot: jellyml.Snapshot) -> bytes:
    return saved({"model": {f"layers.{n}": torch.ones(20_000) for n in range(200)}, **snapshot})


def test_three_ranges(
    bucket: Any, asked: list[tuple[str, str]], snapshot: jellyml.Snapshot
) -> None:
    bucket.put_object(Key="a/m.pth", Body=keyed(snapshot))
    checkpoint = Checkpoint.open(Remote("s3://models/a/m.pth"))
    assert checkpoint.manifest
    assert b"".join(checkpoint.bundle()).startswith(b"# v2 git bundle")
    assert [method for method, _ in asked] == 3 * ["get_object"]
    assert all(wanted for _, wanted in asked)


def test_load_show_and_list(
    bucket: Any, repo: Folder, snapshot: jellyml.Snapshot, tmp_path: Path
) -> None:
    bucket.put_object(Key="runs/a/m.pth", Body=keyed(snapshot))
    bucket.put_object(Key="runs/notes.txt", Body=b"words " * 1000)
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "w.bin").write_bytes(saved({"w": torch.ones(500_000)}))
    fill(whole, snapshot)
    for path in whole.iterdir():
        bucket.put_object(Key=f"runs/whole/{path.name}", Body=path.read_bytes())
    repo.write("train.py", "print('four')\n")

    said = type_command("list", "--json", "s3://models/runs", cwd=repo.path)
    assert [row["path"] for row in json.loads(said.out)] == [
        "s3://models/runs/a/m.pth",
        "s3://models/runs/whole",
    ]
    # In a process of its own, as a user starts it.
    loaded = start_command("load", "s3://models/runs/a/m.pth", cwd=repo.path)
    assert (loaded.status, loaded.err) == (0, "")
    assert repo.read("train.py") == b"print('three')\n"
    shown = start_command("show", "s3://models/runs/whole", cwd=repo.path)
    assert "s3://models/runs/whole (folder)" in shown.out


def test_what_is_not_there_or_not_allowed(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("s3://models/none.pth", "s3://no-such-bucket/m.pth"):
        with pytest.raises(NoSnapshot, match="There is no file"):
            Checkpoint.open(Remote(address))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(JellyError) as raised:
        Checkpoint.open(Remote("s3://models/m.pth"))
    assert raised.value.fix


def test_nothing_of_the_keys_is_said(bucket: Any, repo: Folder, server: str) -> None:
    for words in (["show"], ["load"], ["list"]):
        for address in (
            "s3://models/none.pth",
            f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@models/none.pth",
        ):
            said = type_command(*words, address, cwd=repo.path)
            assert SECRET not in said.out + said.err
            assert "AKIA" not in said.out + said.err
            assert "Traceback" not in said.err
