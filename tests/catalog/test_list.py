"""``jellyml list``: what lies in folders is found by records alone, told apart, and compared."""

import io
import json
import os
from pathlib import Path

import numpy
import pytest
import torch

import jellyml
from at_the_keyboard import type_command, type_on_terminal
from checkpoint_files import bundle, digest, header_with, our_filling, saved, tensor
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.checkpoint.bounded_file import NotSearched
from jellyml.checkpoint.fill import fill
from jellyml.cli import terminal as terminal_module
from jellyml.cli.terminal import Terminal
from jellyml.errors import BadSnapshot, NoSnapshot
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.snapshot import serialization


@pytest.fixture
def runs(repo: Folder) -> Path:
    """Two runs: one as committed that saved three files and a folder, one with an edit."""
    repo.write(".gitignore", "runs/\n")
    repo.commit("third")
    folder = repo.path / "runs"
    first = jellyml.create_snapshot(repo.path)
    for name in ("one/epoch9.pth", "one/epoch10.pth"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save({"w": torch.ones(4), **first}, folder / name)
    numpy.save(folder / "one/array.npy", numpy.ones(2000))
    fill(folder / "one/array.npy", first)
    (folder / "one/sharded").mkdir()
    torch.save({"w": torch.ones(400_000)}, folder / "one/sharded/shard.bin")
    fill(folder / "one/sharded", first)
    repo.write("train.py", "print('three')\n")
    repo.write("new.py", "x = 1\n")
    (folder / "two").mkdir()
    second = jellyml.create_snapshot(repo.path)
    torch.save({"w": torch.ones(4), **second}, folder / "two/model.pth")
    return folder


def listed(*words: str | Path, cwd: Path) -> list[str]:
    said = type_command("list", "--json", *words, cwd=cwd)
    return [one["path"] for one in json.loads(said.out)]


def test_what_one_run_saved_stands_together_the_newest_first(repo: Folder, runs: Path) -> None:
    said = type_command("list", "--json", "runs", cwd=repo.path)
    assert (said.status, said.err) == (0, "")
    rows = json.loads(said.out)
    assert [row["path"] for row in rows] == [
        "runs/two/model.pth",
        "runs/one/array.npy",
        "runs/one/epoch9.pth",
        "runs/one/epoch10.pth",
        "runs/one/sharded",
    ]
    assert [row["run"] == rows[1]["run"] for row in rows] == [False, True, True, True, True]
    head = repo.git("rev-parse", "HEAD").decode().strip()
    first, second = rows[1], rows[0]
    assert first["commit"] == first["base"] == second["base"] == head != second["commit"]
    assert (first["dirty"], first["changed"]) == (False, 0)
    assert (second["dirty"], second["changed"]) == (True, 2)
    assert {row["branch"] for row in rows} == {"main"}
    assert [row["format"] for row in rows[1:]] == [
        "NumPy array",
        "torch zip",
        "torch zip",
        "folder",
    ]
    assert first["size"] == (runs / "one/array.npy").stat().st_size
    assert rows[4]["size"] > 1_600_000  # all that lies in the folder
    assert first["command"] == second["command"] != ""


def test_in_a_pipe_every_line_is_whole(repo: Folder, runs: Path) -> None:
    lines = type_command("list", cwd=repo.path).out.splitlines()
    assert len(lines) == 5
    fields = lines[0].split("\t")
    assert fields[2:4] == ["main", f"2 changed since {repo.git('rev-parse', 'HEAD').decode()[:8]}"]
    assert fields[5] == "runs/two/model.pth"
    assert lines[1].split("\t")[3] == "as committed"


def test_on_a_terminal_each_run_has_a_heading(repo: Folder, runs: Path) -> None:
    said = type_on_terminal("list", "runs", cwd=repo.path, more={"NO_COLOR": "1"})
    assert said.status == 0
    blocks = said.out.split("\n\n")
    assert [block.count("runs/") for block in blocks] == [1, 4]
    assert "2 changed since" in blocks[0].splitlines()[0]
    assert "on main  as committed" in blocks[1].splitlines()[0]


def test_git_and_what_a_folder_covers_is_no_news(repo: Folder, runs: Path) -> None:
    (repo.path / ".git/hidden.pth").write_bytes((runs / "two/model.pth").read_bytes())
    weights = saved({"w": torch.ones(400_000)})
    (runs / "bare.pth").write_bytes(weights)
    (runs / "small.pth").write_bytes(saved({"w": torch.ones(4)}))

    said = type_command("list", cwd=repo.path)

    assert len(said.out.splitlines()) == 5
    assert said.status == 0
    assert said.err.startswith("1 more file with weights")


def test_what_cannot_be_read_is_named_and_passed_over(repo: Folder, runs: Path) -> None:
    header = serialization.header(bundle() + b"more", commit="1" * 40)
    (runs / "cut.pth").write_bytes(saved({KEY: tensor(header + bundle())}))
    (runs / "link").symlink_to("nowhere")
    os.mkfifo(runs / "pipe")

    said = type_command("list", "runs", "no-such", "train.py", cwd=repo.path)

    assert said.status == 1
    assert len(said.out.splitlines()) == 5
    problems = [line for line in said.err.splitlines() if line.startswith("Error: ")]
    assert len(problems) == 3
    for name in ("cut.pth", "no-such", "train.py"):
        assert any(name in line for line in problems)


def test_nothing_of_a_checkpoint_steers_the_terminal(repo: Folder, runs: Path) -> None:
    text = "\x1b[31m\u202eevil\nline\t"
    told = {
        "created": text,
        "code": {"branch": text, "commit": "HEAD", "base": text, "dirty": True, "changed": [1]},
        "command": {"argv": [text]},
        "machine": {"host": text},
    }
    records = {
        KEY: tensor(our_filling()),
        MANIFEST_KEY: tensor(serialization.manifest_record(told)),
    }
    (runs / "e\x1bvil.pth").write_bytes(saved(records))
    for words in (["list"], ["list", "--json"], ["list", "--made-by", "1111"]):
        said = type_command(*words, cwd=repo.path)
        assert "vil.pth" in said.out
        assert not set("\x1b\u202e") & set(said.out + said.err)
        assert "\nline" not in said.out
    shown = type_on_terminal("list", cwd=repo.path, more={"NO_COLOR": "1"})
    assert "vil.pth" in shown.out
    assert not set("\x1b\u202e") & set(shown.out)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"code": []},
        {"code": {"commit": 3, "branch": {}}},
        {"command": {"argv": "x"}},
        {"created": 7},
    ],
    ids=str,
)
def test_a_record_of_any_form_is_listed(tmp_path: Path, told: dict[str, object]) -> None:
    records = {
        KEY: tensor(our_filling()),
        MANIFEST_KEY: tensor(serialization.manifest_record(told)),
    }
    (tmp_path / "model.pth").write_bytes(saved(records))
    assert listed(cwd=tmp_path) == ["model.pth"]
    assert type_command("list", cwd=tmp_path).status == 0


def test_a_glance_reads_little_and_promises_nothing(tmp_path: Path) -> None:
    model = tmp_path / "model.pth"
    torch.save({"w": torch.ones(3_000_000), KEY: tensor(our_filling())}, model)
    data = bytearray(model.read_bytes())
    data[data.index(b"# v2 git bundle") + 200] ^= 1
    model.write_bytes(data)
    with pytest.raises(BadSnapshot):
        Checkpoint.open(model)
    glanced = Checkpoint.glance(model)
    with pytest.raises(BadSnapshot):  # when it is used
        list(glanced.bundle())


def test_a_large_file_is_searched_at_its_end_only(tmp_path: Path) -> None:
    array = tmp_path / "array.npy"
    numpy.save(array, numpy.zeros(3_000_000))
    with pytest.raises(NotSearched):
        Checkpoint.glance(array)
    with pytest.raises(NoSnapshot, match="carries no"):
        Checkpoint.open(array)
    said = type_command("list", cwd=tmp_path)
    assert said.err.splitlines()[1].startswith("1 more file with weights carry no code in")
    assert type_command("list", "array.npy", cwd=tmp_path).status == 1

    with array.open("ab") as file:
        file.write(our_filling())
    assert listed(cwd=tmp_path) == ["array.npy"]


def test_of_what_is_no_known_format_only_the_end_is_read(tmp_path: Path) -> None:
    picture = tmp_path / "picture.bin"
    picture.write_bytes(b"\0" + our_filling() + bytes(1_000_000))
    assert Checkpoint.open(picture).header.commit
    with pytest.raises(NotSearched):
        Checkpoint.glance(picture)
    assert type_command("list", cwd=tmp_path).out == ""


def test_text_is_not_searched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"words\n" * 2000 + our_filling())
    assert listed(cwd=tmp_path) == []
    assert Checkpoint.glance(tmp_path / "notes.txt").header.commit


# --made-by


def test_made_by_a_commit(repo: Folder, runs: Path) -> None:
    head = repo.git("rev-parse", "HEAD").decode().strip()
    assert len(listed("--made-by", "HEAD", cwd=repo.path)) == 5
    assert len(listed("--made-by", head[:7], cwd=repo.path)) == 5
    assert listed("--made-by", "HEAD~1", cwd=repo.path) == []
    assert type_command("list", "--made-by", "HEAD~1", cwd=repo.path).status == 1
    snapshot = Checkpoint.open(runs / "two/model.pth").header.commit
    assert snapshot
    assert listed("--made-by", snapshot[:9], cwd=repo.path) == ["runs/two/model.pth"]


def test_made_by_a_commit_that_is_not_here(repo: Folder, runs: Path, tmp_path: Path) -> None:
    head = repo.git("rev-parse", "HEAD").decode().strip()
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    assert len(listed("--made-by", head[:10], runs, cwd=empty)) == 5
    said = type_command("list", "--made-by", "main", runs, cwd=empty)
    assert said.status == 1
    assert "is not a git repository" in said.err


def test_made_by_a_version_of_a_file(repo: Folder, runs: Path) -> None:
    with_edit = ["runs/two/model.pth"]
    assert listed("--made-by", "train.py", cwd=repo.path) == with_edit
    assert listed("--made-by", "new.py", cwd=repo.path) == with_edit
    assert len(listed("--made-by", "HEAD:train.py", cwd=repo.path)) == 4
    assert listed("--made-by", "HEAD~2:train.py", cwd=repo.path) == []
    assert len(listed("--made-by", "net.py", "-c", "lib", "runs", cwd=repo.path)) == 5
    repo.write("train.py", "print('four')\n")
    assert listed("--made-by", "train.py", cwd=repo.path) == []
    repo.git("checkout", "-q", "train.py")
    assert len(listed("--made-by", "train.py", cwd=repo.path)) == 4
    repo.write("main", "a file called as the branch\n")
    assert len(listed("--made-by", "main", cwd=repo.path)) == 5
    assert listed("--made-by", "./main", cwd=repo.path) == []


def test_made_by_a_file_with_other_line_ends_on_disk(repo: Folder, tmp_path: Path) -> None:
    repo.write(".gitattributes", "*.py text eol=crlf\n")
    repo.write("lib/net.py", "width = 9\r\n")
    repo.commit("crlf")
    torch.save({**jellyml.create_snapshot(repo.path)}, tmp_path / "model.pth")
    assert len(listed("--made-by", "lib/net.py", tmp_path, cwd=repo.path)) == 1


def test_a_strangers_commit_is_an_id_or_nothing(repo: Folder) -> None:
    """Git would take any other text for a name of its own."""
    header = header_with(sha256=digest(bundle()))
    told = serialization.manifest_record(
        {"code": {"commit": "HEAD", "base": "HEAD", "dirty": True}}
    )
    records = {KEY: tensor(header + bundle()), MANIFEST_KEY: tensor(told)}
    (repo.path / "model.pth").write_bytes(saved(records))
    rows = json.loads(type_command("list", "--json", cwd=repo.path).out)
    assert (rows[0]["commit"], rows[0]["base"]) == (None, None)
    assert listed("--made-by", "train.py", cwd=repo.path) == []  # not as in our own HEAD


@pytest.mark.parametrize("text", ["no-such", "--all", "-x:y", "train.py:x", "../outside"])
def test_what_is_neither_commit_nor_file(repo: Folder, runs: Path, text: str) -> None:
    (repo.path.parent / "outside").write_text("x")
    said = type_command("list", f"--made-by={text}", cwd=repo.path)
    assert said.status == 2
    assert "Fix: " in said.err


def test_a_damaged_snapshot_is_named_where_only_its_code_could_tell(
    repo: Folder, runs: Path
) -> None:
    model = runs / "two/model.pth"
    data = bytearray(model.read_bytes())
    data[data.rindex(b"PACK") + 40] ^= 1
    model.write_bytes(data)
    said = type_command("list", "--made-by", "train.py", cwd=repo.path)
    assert (said.status, said.out) == (1, "")
    assert "two/model.pth" in said.err


# The bar.


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal_module, "_PATIENCE", -1)
    for quiet, stream, shown in (
        (False, Screen(), True),
        (True, Screen(), False),
        (False, io.StringIO(), False),
    ):
        there = Terminal(quiet=quiet, err=stream)
        assert list(there.progress(iter("abc"), 3, "Reading")) == ["a", "b", "c"]
        assert ("Reading" in stream.getvalue()) == shown
