"""Checkpoints at an address: by few requests and few bytes, and never a credential in a message."""

import contextlib
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pytest
import torch

import jellyml
from at_the_keyboard import Said, environment, save_model, type_command
from checkpoint_files import Counting, our_filling, saved, tensor
from conftest import Folder
from far_server import Server, serving
from jellyml.checkpoint import Checkpoint
from jellyml.checkpoint.bounded_file import NotSearched, Sources
from jellyml.checkpoint.fill import fill
from jellyml.cli.commands.show import split
from jellyml.errors import BadSnapshot, JellyError, NoSnapshot, UsageError
from jellyml.formats.record import KEY
from jellyml.remote.address import Remote, parse_location
from jellyml.remote.file import RemoteFile
from jellyml.workspace import Workspace

fsspec = pytest.importorskip("fsspec", reason="fsspec (it comes with torch) is not installed")

SECRET = "hunter2secret"


@pytest.fixture
def snapshot(repo: Folder) -> jellyml.Snapshot:
    repo.write("train.py", "print('three')\n")
    repo.write("noise.bin", os.urandom(1_500_000))  # so that the snapshot has some size
    return jellyml.create_snapshot(repo.path)


def keyed(tensors: int, snapshot: jellyml.Snapshot, length: int = 20_000) -> bytes:
    weights = {f"layers.{n}.attention.weight": torch.ones(length) for n in range(tensors)}
    return saved({"model": weights, **snapshot})


def safetensors(tensors: int, length: int = 5_000) -> bytes:
    """As the library writes it: a header of JSON, padded with spaces, then the bytes."""
    told: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for n in range(tensors):
        told[f"model.layers.{n}.mlp.gate_proj.weight"] = {
            "dtype": "U8", "shape": [length, 1], "data_offsets": [n * length, (n + 1) * length],
        }  # fmt: skip
    header = json.dumps(told, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes(tensors * length)


def filled(tmp_path: Path, name: str, data: bytes, snapshot: jellyml.Snapshot) -> bytes:
    path = tmp_path / name
    path.write_bytes(data)
    fill(path, snapshot)
    return path.read_bytes()


def looked_at(server: Server, name: str) -> Checkpoint:
    checkpoint = Checkpoint.open(Remote(server.url(name)))
    assert checkpoint.manifest
    assert b"".join(checkpoint.bundle()).startswith(b"# v2 git bundle")
    return checkpoint


# How much is asked for.


@pytest.mark.parametrize("way", ["key", "filled"])
@pytest.mark.parametrize("tensors", [1, 200, 400])
def test_a_pth_takes_three_requests(
    tmp_path: Path, snapshot: jellyml.Snapshot, way: str, tensors: int
) -> None:
    weights = {f"layers.{n}.attention.weight": torch.ones(20_000) for n in range(tensors)}
    data = keyed(tensors, snapshot) if way == "key" else saved({"model": weights})
    if way == "filled":
        data = filled(tmp_path, "m.pth", data, snapshot)
    with serving({"m.pth": data}) as server:
        looked_at(server, "m.pth")
        assert len(server.asked) <= 3
        assert all(method == "GET" for method, _ in server.asked)
        # Beyond the snapshot no more than directory, pickle and one block.
        pickle_and_directory = 250 * tensors + 2_000
        most = len(snapshot.filling) + len(snapshot.manifest) + (64 << 10) + pickle_and_directory
        assert server.sent <= most


def test_one_request_more_where_the_directory_is_long(snapshot: jellyml.Snapshot) -> None:
    data = keyed(3_000, snapshot, length=100)
    with serving({"m.pth": data}) as server:
        looked_at(server, "m.pth")
        assert len(server.asked) == 4
        assert server.sent < len(data)


@pytest.mark.parametrize("way", ["key", "filled"])
def test_a_safetensors_takes_two_requests(
    tmp_path: Path, snapshot: jellyml.Snapshot, way: str
) -> None:
    if way == "filled":
        data = filled(tmp_path, "m.safetensors", safetensors(500), snapshot)
    else:
        data = with_tensors(safetensors(500), snapshot)
    with serving({"m.safetensors": data}) as server:
        looked_at(server, "m.safetensors")
        assert len(server.asked) <= 2
        assert server.sent < 1.4 * (len(snapshot.filling) + len(snapshot.manifest)) + (128 << 10)


def with_tensors(data: bytes, snapshot: jellyml.Snapshot) -> bytes:
    """The same with code and manifest as tensors, as ``save_file({**state, **snapshot})``."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    for name, record in (("jellyml_code_snapshot", snapshot.filling),
                         ("jellyml_manifest", snapshot.manifest)):  # fmt: skip
        header[name] = {
            "dtype": "U8", "shape": [len(record)],
            "data_offsets": [len(body), len(body) + len(record)],
        }  # fmt: skip
        body += record
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def test_saying_no_costs_little(tmp_path: Path) -> None:
    array = io.BytesIO()
    numpy.save(array, numpy.zeros(20_000_000))
    files = {
        "m.pth": saved({f"{n}": torch.ones(20_000) for n in range(200)}),
        "m.safetensors": safetensors(500, 20_000),
        "m.npy": array.getvalue(),
        "pointer.pth": b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 80,
    }
    with serving(files) as server:
        for name, most in (("m.pth", 3), ("m.safetensors", 3), ("pointer.pth", 2)):
            server.asked.clear()
            with pytest.raises(NoSnapshot):
                Checkpoint.open(Remote(server.url(name)))
            assert len(server.asked) <= most, name
        server.sent = 0
        with pytest.raises(NotSearched, match="would have to be fetched"):
            Checkpoint.open(Remote(server.url("m.npy")))
        assert server.sent <= 70 << 20


@pytest.mark.parametrize("name", ["m.npy", "m.h5", "m.gguf", "m.bin"])
def test_what_was_appended_is_found_at_the_end(tmp_path: Path, name: str) -> None:
    array = io.BytesIO()
    numpy.save(array, numpy.zeros(2_000_000))
    data = array.getvalue() + our_filling()
    with serving({name: data}) as server:
        assert b"".join(Checkpoint.open(Remote(server.url(name))).bundle())
        assert server.sent < 8 << 20


def test_a_glance_fetches_no_code(snapshot: jellyml.Snapshot) -> None:
    with serving({f"{n}.pth": keyed(n, snapshot) for n in (1, 200)}) as server:
        for n in (1, 200):
            server.sent = 0
            glanced = Checkpoint.glance(Remote(server.url(f"{n}.pth")))
            assert glanced.manifest
            assert server.sent < 200_000
            assert b"".join(glanced.bundle()).startswith(b"# v2 git bundle")


def test_a_far_file_is_a_file(tmp_path: Path) -> None:
    data = os.urandom(700_000)
    with serving({"x": data}) as server:
        source = RemoteFile(Remote(server.url("x")))
        here, far = io.BytesIO(data), source.open()
        for offset, size in (
            (0, 5),
            (699_990, 50),
            (300_000, 100_000),
            (250_000, 400_000),
            (0, -1),
        ):
            for file in (here, far):
                file.seek(offset)
            assert far.read(size) == here.read(size)
        assert far.read(1) == b""
        assert far.seek(-3, 2) == here.seek(-3, 2)
        assert source.fetched <= len(data)


def test_loaders_of_formats_ask_a_local_file_for_nothing_new() -> None:
    data = saved({"w": torch.ones(4), KEY: tensor(our_filling())})
    counting = Counting(data)
    from jellyml.formats import torch_zip

    assert torch_zip.recognises(counting)
    assert not hasattr(counting, "expect")


# What a user does.


@pytest.fixture
def store(repo: Folder, snapshot: jellyml.Snapshot) -> str:
    """A bucket in memory, as fsspec has one, with two runs and a folder that is a checkpoint."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe("/bucket/runs/a/m.pth", keyed(3, snapshot))
    system.pipe("/bucket/runs/notes.txt", b"words " * 1000)
    system.pipe("/bucket/runs/small.json", b"{}")
    system.pipe("/bucket/runs/bare.pth", saved({"w": torch.ones(500_000)}))
    folder = repo.path.parent / "whole"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(3, 500_000))
    fill(folder, snapshot)
    for path in folder.iterdir():
        system.pipe(f"/bucket/runs/whole/{path.name}", path.read_bytes())
    return "memory://bucket/runs"


def test_load_and_go_back(repo: Folder, store: str) -> None:
    repo.write("train.py", "print('four')\n")
    said = type_command("load", f"{store}/a/m.pth", cwd=repo.path)
    assert (said.status, said.err) == (0, "")
    assert "The code of m.pth is loaded" in said.out
    assert repo.read("train.py") == b"print('three')\n"
    rows = json.loads(type_command("history", "--json", cwd=repo.path).out)
    assert f"{store}/a/m.pth" in {row["model"] for row in rows}
    assert type_command("undo", cwd=repo.path).status == 0
    assert repo.read("train.py") == b"print('four')\n"


def test_show_and_the_rest(repo: Folder, store: str, tmp_path: Path) -> None:
    shown = type_command("show", f"{store}/a/m.pth", cwd=repo.path)
    assert shown.status == 0
    assert f"{store}/a/m.pth (torch zip)" in shown.out
    one = type_command("show", f"{store}/a/m.pth:train.py", cwd=repo.path)
    assert one.out == "print('three')\n"
    assert type_command("show", f"{store}/whole", cwd=repo.path).status == 0
    assert jellyml.open(f"{store}/a/m.pth").files["train.py"].text() == "print('three')\n"
    assert type_command("fix", "extract-bundle", f"{store}/a/m.pth", cwd=tmp_path).status == 0
    assert (tmp_path / "m.pth.bundle").exists()
    to = tmp_path / "there"
    assert type_command("load", f"{store}/whole", "--to", to, cwd=tmp_path).status == 0
    assert (to / "train.py").read_text() == "print('three')\n"
    mine = repo.path / "mine.pth"
    torch.save({"w": torch.ones(3)}, mine)
    said = type_command("fill", mine, "--from", f"{store}/a/m.pth", cwd=repo.path)
    assert said.status == 0


def test_list_below_an_address(repo: Folder, store: str) -> None:
    said = type_command("list", "--json", store, cwd=repo.path)
    assert said.status == 0
    rows = json.loads(said.out)
    assert [row["path"] for row in rows] == [f"{store}/a/m.pth", f"{store}/whole"]
    assert said.err.startswith("1 more file with weights")
    assert rows[1]["size"] > 1_500_000
    alone = type_command("list", f"{store}/a/m.pth", cwd=repo.path)
    assert len(alone.out.splitlines()) == 1
    found = type_command("list", "--made-by", "train.py", store, cwd=repo.path)
    assert len(found.out.splitlines()) == 2
    none = type_command("list", "memory://bucket/none", cwd=repo.path)
    assert none.out == ""


def test_what_lies_at_an_address_is_not_changed(repo: Folder, store: str) -> None:
    for command in ("fill", "strip"):
        said = type_command(command, f"{store}/a/m.pth", cwd=repo.path)
        assert said.status == UsageError.exit_code
        assert "cannot be changed: it is remote" in said.err


# Errors, and what they must not say.


def secret_address(server: Server, path: str) -> str:
    host = server.address.removeprefix("http://")
    return f"http://user:{SECRET}@{host}/{path}?X-Amz-Signature={SECRET}#{SECRET}"


def commands(address: str, cwd: Path) -> list[Said]:
    return [
        type_command(*words, cwd=cwd)
        for words in (
            ["show", address],
            ["load", address],
            ["list", address],
            ["git", address, "ls-remote", "{}"],
            ["check", address],
            ["fix", "extract-bundle", address],
            ["fill", address],
            ["strip", address],
            ["show", f"{address}:train.py"],
            ["list", "--json", address],
        )
    ]


@pytest.mark.parametrize("what", ["good", "bare", "damaged", "missing", 401, 403, 500, "no ranges"])
def test_no_credential_is_shown_or_kept(
    repo: Folder, snapshot: jellyml.Snapshot, what: str | int
) -> None:
    data = keyed(2, snapshot)
    hurt = bytearray(data)
    hurt[hurt.index(b"# v2 git bundle") + 300] ^= 1
    files = {
        "good": {"m.pth": data},
        "bare": {"m.pth": saved({})},
        "damaged": {"m.pth": bytes(hurt)},
    }
    with serving(files.get(str(what), {}), user=f"user:{SECRET}") as server:
        server.status = what if isinstance(what, int) else 0
        if what == "no ranges":
            server.files["m.pth"] = data
            server.ranges = False
        for said in commands(secret_address(server, "m.pth"), repo.path):
            assert SECRET not in said.out + said.err
            assert "Traceback" not in said.err
        if what == "good":
            assert type_command("history", "--json", cwd=repo.path).out.count("/m.pth") >= 1
        kept = b"".join(p.read_bytes() for p in (repo.path / ".git").rglob("*") if p.is_file())
        assert SECRET.encode() not in kept


def test_credentials_go_to_their_own_host_only(snapshot: jellyml.Snapshot) -> None:
    data = keyed(2, snapshot)
    with serving({"m.pth": data}) as elsewhere, serving({}, user=f"user:{SECRET}") as server:
        server.moved["m.pth"] = elsewhere.url("m.pth")
        looked_at_address(secret_address(server, "m.pth"))
        assert all(server.said)
        assert not any(elsewhere.said)


def looked_at_address(address: str) -> Checkpoint:
    return Checkpoint.open(Remote(address))


def test_an_address_that_leads_to_a_file_here_is_not_followed(tmp_path: Path) -> None:
    with serving({}) as server:
        server.moved["m.pth"] = f"file://{tmp_path}"
        with pytest.raises(JellyError):
            looked_at_address(server.url("m.pth"))


@pytest.mark.parametrize("where", ["ftp://127.0.0.1/m.pth", "data:text/plain,x", "gopher://h/x"])
def test_an_address_that_leads_out_of_the_web_is_not_followed(where: str) -> None:
    with serving({}) as server:
        server.moved["m.pth"] = where
        with pytest.raises(JellyError, match=r"is not HTTP|answered 302"):
            looked_at_address(server.url("m.pth"))


def test_a_server_that_sends_a_byte_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jellyml.remote.http._SECONDS", 0.3)
    monkeypatch.setattr("jellyml.remote.http._SLOWEST", 10**9)
    ended = threading.Event()

    def trickle(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 206 Parts\r\nContent-Range: bytes 0-99999/100000\r\n\r\n")
            while not ended.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, args=(listening,))
        thread.start()
        try:
            with pytest.raises(JellyError, match="did not answer in time"):
                looked_at_address(f"http://127.0.0.1:{listening.getsockname()[1]}/m.pth")
        finally:
            ended.set()
            thread.join()


def test_the_colon_of_a_port_or_a_password_is_none_before_a_path() -> None:
    with serving({}) as server:
        address = f"http://user:{SECRET}@{server.address.removeprefix('http://')}/m.pth"
        for words in (server.url("m.pth"), address):
            assert split(words, Sources()) == (Remote(words), None)
        assert split(server.url("m.pth:a.py"), Sources()) == (Remote(server.url("m.pth")), "a.py")


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (404, NoSnapshot, "There is no file"),
        (403, JellyError, "access was refused"),
        (401, JellyError, "access was refused"),
        (503, JellyError, "the server answered 503"),
    ],
)
def test_what_the_server_refuses(status: int, kind: type[JellyError], words: str) -> None:
    with serving({}, status=status) as server, pytest.raises(kind, match=words) as raised:
        looked_at_address(server.url("m.pth"))
    assert raised.value.fix


def test_nobody_listens() -> None:
    with pytest.raises(JellyError, match="Connection refused"):
        looked_at_address("http://127.0.0.1:9/m.pth")
    for torn in (
        f"http://user:{SECRET}/x@127.0.0.1:9/m.pth",
        f"http://user:{SECRET}[@127.0.0.1:9/m.pth",
    ):
        with pytest.raises(JellyError) as raised:
            looked_at_address(torn)
        assert SECRET not in str(raised.value)


def test_a_server_without_ranges(
    snapshot: jellyml.Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = keyed(2, snapshot)
    with serving({"m.pth": data}, ranges=False) as server:
        looked_at(server, "m.pth")  # a small file is taken whole
        assert len(server.asked) == 1
        monkeypatch.setattr("jellyml.remote.http._WHOLE", 1000)
        with pytest.raises(JellyError, match="does not send parts of a file") as raised:
            looked_at_address(server.url("m.pth"))
        assert "download" in raised.value.fix


def test_an_empty_file_and_one_that_shrinks(snapshot: jellyml.Snapshot) -> None:
    with serving({"m.pth": b"", "s.pth": keyed(2, snapshot)}) as server:
        with pytest.raises(NoSnapshot, match="is empty"):
            looked_at_address(server.url("m.pth"))
        remote, sources = Remote(server.url("s.pth")), Sources()
        sources.fetch(remote)
        server.files["s.pth"] = server.files["s.pth"][:100_000]
        with pytest.raises(JellyError, match="changed while it was read"):
            Checkpoint.open(remote, sources=sources)


def test_a_file_that_changes_meanwhile_is_not_taken(snapshot: jellyml.Snapshot) -> None:
    data = keyed(2, snapshot)
    with serving({"m.pth": data}) as server:
        remote, sources = Remote(server.url("m.pth")), Sources()
        sources.fetch(remote)
        server.files["m.pth"] = data.replace(b"PACK", b"KCAP")
        with pytest.raises(BadSnapshot):
            Checkpoint.open(remote, sources=sources)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3fs", "gcsfs", "huggingface_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    for address, fix in (
        ("s3://bucket/m.pth", "pip install 'jellyml[remote]'"),
        ("gs://bucket/m.pth", "pip install gcsfs"),
        ("nonsense://bucket/m.pth", "use s3://, gs://, hf:// or https://."),
    ):
        with pytest.raises(JellyError) as raised:
            looked_at_address(address)
        assert raised.value.fix == fix
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(JellyError, match="needs fsspec") as raised:
        looked_at_address("s3://bucket/m.pth")
    assert raised.value.fix == "pip install 'jellyml[remote]'"


# Addresses.


@pytest.mark.parametrize(
    ("address", "shown", "name"),
    [
        ("s3://bucket/a/m.pth", "s3://bucket/a/m.pth", "m.pth"),
        (f"s3://key:{SECRET}@bucket/m.pth", "s3://bucket/m.pth", "m.pth"),
        (f"https://u:{SECRET}@h/m%20x.pth?sig={SECRET}#f", "https://h/m%20x.pth", "m x.pth"),
        ("hf://org/repo/m.pth", "hf://org/repo/m.pth", "m.pth"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(address: str, shown: str, name: str) -> None:
    place = parse_location(address)
    assert isinstance(place, Remote)
    assert (str(place), os.fspath(place), place.name) == (shown, shown, name)
    assert SECRET not in repr(place)


def test_an_address_as_a_path_is_not_repeated(tmp_path: Path, repo: Folder) -> None:
    for given in (Path(f"https://user:{SECRET}@h/m.pth"), f" https://user:{SECRET}@h/m.pth"):
        with pytest.raises(UsageError, match="begins with https://") as raised:
            jellyml.open(given)
        assert SECRET not in str(raised.value)
        with pytest.raises(UsageError) as raised:
            Workspace(repo.path).load(given)
        assert SECRET not in str(raised.value)
    (tmp_path / "ab:").mkdir()
    assert parse_location(tmp_path / "ab:" / "m.pth") == tmp_path / "ab:" / "m.pth"


def test_what_is_no_address() -> None:
    for text in ("model.pth", "C:\\x", "a:b", "./s3:/x", "/s3://x"):
        assert parse_location(text) == Path(text)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("hf://org/repo/a/m.pth", "https://huggingface.co/org/repo/resolve/main/a/m.pth"),
        ("hf://org/repo@v1.0/m.pth", "https://huggingface.co/org/repo/resolve/v1.0/m.pth"),
        ("hf://datasets/o/r/m x.pth", "https://huggingface.co/datasets/o/r/resolve/main/m%20x.pth"),
        ("s3://bucket/m.pth", None),
    ],
)
def test_the_hub_is_asked_by_http(address: str, url: str | None) -> None:
    assert Remote(address).url == url


def test_load_by_python(repo: Folder, snapshot: jellyml.Snapshot, tmp_path: Path) -> None:
    with serving({"m.pth": keyed(2, snapshot)}) as server:
        Workspace(tmp_path).load(server.url("m.pth"), to=tmp_path / "new")
        assert len(server.asked) <= 3  # nothing comes twice
    assert (tmp_path / "new/train.py").read_text() == "print('three')\n"


def test_a_difference_with_an_address(repo: Folder) -> None:
    """Code and environment are compared; the weights only where that alone is asked for."""
    local = save_model(repo)
    with serving({"m.pth": local.read_bytes()}) as server:
        repo.write("train.py", "another")
        said = type_command("diff", server.url("m.pth"), cwd=repo.path)
        assert said.status == 0, said.err
        assert "+another" in said.out
        code = type_command("diff", server.url("m.pth"), local, cwd=repo.path)
        assert code.status == 0
        assert "all of them would be fetched. Fix: jellyml diff --only weights" in code.err
        words = ("diff", server.url("m.pth"), local, "--only", "weights")
        weights = type_command(*words, cwd=repo.path)
        assert (weights.status, weights.out) == (
            0,
            "The weights are the same: 1 array, to the bit.\n",
        )


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("name", ["safetensors", "pth"])
def test_the_weights_of_two_addresses(
    tmp_path: Path, snapshot: jellyml.Snapshot, name: str
) -> None:
    data = safetensors(40, 300_000) if name == "safetensors" else keyed(40, snapshot, 80_000)
    files = {f"one.{name}": data, f"other.{name}": changed(data, 7_000_000)}
    with serving(files) as server:
        words = ("diff", *map(server.url, files), "--only", "weights")
        said = type_command(*words, cwd=tmp_path)
        assert (said.status, said.err) == (0, "")
        assert said.out.startswith("Weights: 1 changed; 39 the same.\nchanged ")
        # To name what lies in an archive it is read once, and small enough to be.
        assert server.sent <= (2 if name == "safetensors" else 4) * len(data) + (20 << 20)
        assert len(server.asked) < 60


def test_arrays_at_an_address(tmp_path: Path) -> None:
    array = numpy.arange(6, dtype="<f4").reshape(2, 3)
    made = io.BytesIO()
    numpy.savez(made, w=array)
    with serving({"w.npz": made.getvalue()}) as server, jellyml.open(server.url("w.npz")) as model:
        assert (model.arrays["w"].numpy() == array).all()


def test_an_archive_too_large_to_be_fetched_twice_is_told(
    tmp_path: Path, snapshot: jellyml.Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jellyml.checkpoint.reader._TWICE", 1_000_000)
    local = tmp_path / "local.pth"
    local.write_bytes(keyed(3, snapshot))
    with serving({"m.pth": local.read_bytes()}) as server:
        words = ("diff", server.url("m.pth"), local, "--only", "weights")
        said = type_command(*words, cwd=tmp_path)
        assert said.status == 1
        assert "cannot be named without fetching all of it (torch zip)" in said.err
        assert "Fix: download it" in said.err


@pytest.mark.skipif(sys.platform != "linux", reason="The peak is read from /proc.")
def test_the_memory_is_bounded_at_an_address(tmp_path: Path) -> None:
    data = safetensors(30, 3_000_000)
    program = """
import sys
from jellyml.cli import main
main(["diff", *sys.argv[1:], "--only", "weights"])
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""
    with serving({"a.safetensors": data, "b.safetensors": changed(data, 50_000_000)}) as server:
        words = [sys.executable, "-c", program, *map(server.url, server.files)]
        done = subprocess.run(words, capture_output=True, check=True, env=environment())
    summary, _, peak = done.stdout.decode().splitlines()
    assert summary == "Weights: 1 changed; 29 the same."
    assert int(peak) < 64_000


def test_log_of_addresses(repo: Folder) -> None:
    """A file by HTTP, a folder by fsspec; what a page would fetch of weights it does not."""
    base = save_model(repo)
    torch.save(
        {"w": torch.ones(3), **jellyml.create_snapshot(repo.path, notes={"parent": "model.pth"})},
        repo.path / "next.pth",
    )
    with serving(
        {name: (repo.path / name).read_bytes() for name in ("model.pth", "next.pth")}
    ) as server:
        urls = [server.url(name) for name in server.files]
        said = type_command("log", "--by", "parent", *urls, cwd=repo.path.parent)
        assert (said.status, said.err) == (0, "")
        first, second = said.out.splitlines()
        assert first.startswith(f"● {urls[0]}  ")
        assert second.startswith(f"● {urls[1]}  ")
        page = repo.path.parent / "page.html"
        said = type_command("log", "--html", page, *urls, cwd=repo.path.parent)
        assert said.status == 0
        assert f"The weights at {urls[0]} are not fetched." in page.read_text()
    assert base.exists()
