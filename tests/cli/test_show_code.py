"""The code inside a checkpoint, looked at without a load: listed, read, compared with its base."""

import re
import subprocess
import time
from pathlib import Path

import pytest
import torch
from rich.text import Text

import jellyml
from at_the_keyboard import save_model, type_command, type_on_terminal
from captures import untouched
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.cli.views import code
from jellyml.errors import JellyError, NoSnapshot, UsageError

EVIL = "x = 1  # \x1b[31m \u202e red\n"


@pytest.fixture
def model(repo: Folder) -> Path:
    """Saved with an edit, a new file, bytes that are no text, a name that steers terminals."""
    repo.write("train.py", "print('three')\n\tif 1:\n")
    repo.write("evil\x1b[31m.py", EVIL)
    repo.write("lib/data.bin", b"\0\xff" * 40_000)
    return save_model(repo)


def test_everything_is_there_and_read_when_asked_for(repo: Folder, model: Path) -> None:
    with untouched(repo.path), jellyml.open(model) as opened:
        assert opened.commit == Checkpoint.open(model).header.commit
        assert opened.manifest is not None
        assert opened.manifest["schema"] == 1
        assert list(opened.files) == sorted(
            [".gitignore", "evil\x1b[31m.py", "lib/data.bin", "lib/net.py", "train.py"]
        )
        assert opened.files["train.py"].text() == "print('three')\n\tif 1:\n"
        assert opened.files["lib/data.bin"].read() == b"\0\xff" * 40_000
        assert (opened.files["train.py"].kind, opened.files["train.py"].size) == ("file", 22)


def test_a_file_outlives_the_name_of_its_model(model: Path) -> None:
    assert jellyml.open(model).files["lib/net.py"].read() == b"width = 8\n"
    assert b"+print('three')" in b"".join(jellyml.open(model).patch())


def test_closed_it_can_be_read_again(model: Path) -> None:
    opened = jellyml.open(model)
    place = opened.inside.incoming.objects
    opened.close()
    assert not place.exists()
    assert opened.files["lib/net.py"].read() == b"width = 8\n"
    opened.close()


def test_without_code_there_is_no_commit(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "plain.pth")
    opened = jellyml.open(tmp_path / "plain.pth")
    assert (opened.commit, opened.manifest) == (None, None)
    with pytest.raises(NoSnapshot):
        _ = opened.files
    with pytest.raises(NoSnapshot):
        jellyml.open(tmp_path / "missing.pth")


def test_kinds_of_files(repo: Folder) -> None:
    repo.write("run.sh", "true\n", executable=True)
    (repo.path / "link").symlink_to("train.py")
    files = jellyml.open(save_model(repo)).files
    assert files["run.sh"].kind == "program"
    assert (files["link"].kind, files["link"].read()) == ("symlink", b"train.py")


# The patch.


def test_the_patch_is_what_git_shows(repo: Folder, model: Path) -> None:
    patch = b"".join(jellyml.open(model).patch())
    repo.git("add", "-A", "-N", ":!model.pth")
    assert patch == repo.git("diff", "HEAD", "--", ":!model.pth")


def test_nothing_changed_is_an_empty_patch(repo: Folder) -> None:
    model = save_model(repo)
    assert b"".join(jellyml.open(model).patch()) == b""
    said = type_command("show", model, "--patch", cwd=repo.path)
    assert (said.status, said.out) == (0, "")
    assert "Nothing had been changed" in said.err


def test_before_the_first_commit_all_is_new(folder: Folder) -> None:
    folder.git("init", "-q")
    folder.write("a.py", "one\n")
    patch = b"".join(jellyml.open(save_model(folder)).patch())
    assert b"new file mode 100644" in patch
    assert b"+one" in patch


@pytest.mark.parametrize("history", ["none", 1])
def test_where_history_is_cut(repo: Folder, history: str | int) -> None:
    repo.write("train.py", "print('three')\n")
    path = repo.path / "model.pth"
    torch.save(jellyml.create_snapshot(repo.path, history=history), path)  # type: ignore[arg-type]
    opened = jellyml.open(path)
    if history == "none":
        head = repo.git("rev-parse", "HEAD").decode().strip()
        with pytest.raises(JellyError, match="its history was cut") as raised:
            opened.patch()
        assert raised.value.fix.endswith(f"jellyml diff {head} {path}")
    else:
        assert b"+print('three')" in b"".join(opened.patch())


def test_the_patch_of_1_0() -> None:
    fixtures = Path(__file__).parents[1] / "fixtures"
    dirty = b"".join(jellyml.open(fixtures / "written_by_1_0_dirty.pth").patch())
    assert dirty.startswith(b"diff --git")
    assert b"".join(jellyml.open(fixtures / "written_by_1_0_clean.pth").patch()) == b""


def test_no_program_of_anybodys_is_started(repo: Folder, home: Path, tmp_path: Path) -> None:
    """The checkpoint's attributes name drivers that the user's own configuration defines."""
    trap = tmp_path / "trap"
    script = repo.write("../driver", f"#!/bin/sh\necho \"$@\" >> '{trap}'\ncat\n", executable=True)
    for key in ("diff.external", "diff.evil.textconv", "diff.evil.command"):
        (home / ".gitconfig").touch()
        subprocess.run(["git", "config", "--global", key, str(script)], check=True)
    repo.write(".gitattributes", "*.py diff=evil\n")
    repo.write("train.py", "print('three')\n")
    path = save_model(repo)
    trap.unlink(missing_ok=True)

    assert b"+print('three')" in b"".join(jellyml.open(path).patch())
    shown = type_command("show", f"{path}:train.py", cwd=repo.path)
    assert shown.out == "print('three')\n"
    assert not trap.exists()
    repo.git("diff", "HEAD", "--", "train.py")
    assert trap.exists()  # plain git does start them: the trap is one


# On the command line.


def test_into_a_pipe_everything_is_exact(repo: Folder, model: Path) -> None:
    listed = type_command("show", model, "--files", cwd=repo.path)
    assert "evil\x1b[31m.py" in listed.out.splitlines()
    shown = type_command("show", f"{model}:evil\x1b[31m.py", cwd=repo.path)
    assert (shown.status, shown.out, shown.err) == (0, EVIL, "")
    binary = type_command("show", f"{model}:lib/data.bin", cwd=repo.path)
    assert binary.out.encode(errors="surrogateescape") == b"\0\xff" * 40_000
    patch = type_command("show", model, "--patch", cwd=repo.path)
    assert patch.out.encode(errors="surrogateescape") == b"".join(jellyml.open(model).patch())


def test_on_a_terminal_nothing_steers(repo: Folder, model: Path) -> None:
    for words in (
        ["model.pth", "--files"],
        ["model.pth:evil\x1b[31m.py"],
        ["model.pth", "--patch"],
    ):
        plain = {"GIT_PAGER": "cat", "NO_COLOR": "1"}
        shown = type_on_terminal("show", *words, cwd=repo.path, more=plain)
        assert shown.status == 0, shown
        assert "\\x1b[31m" in shown.out
        assert "\x1b" not in shown.out
        assert "\u202e" not in shown.out


def test_on_a_terminal_code_is_coloured_and_paged(repo: Folder, model: Path) -> None:
    pager = {"GIT_PAGER": "sed 's/^/paged: /'"}
    shown = type_on_terminal("show", "model.pth:train.py", cwd=repo.path, more=pager)
    assert "paged: " in shown.out
    assert re.search(r"\x1b\[\d+mprint\x1b\[0m", shown.out)
    patch = type_on_terminal("show", "model.pth", "--patch", cwd=repo.path, more=pager)
    assert "\x1b[32m+print('three')\x1b[0m" in patch.out


def test_what_is_no_text_is_not_put_on_a_terminal(repo: Folder, model: Path) -> None:
    shown = type_on_terminal("show", "model.pth:lib/data.bin", cwd=repo.path)
    assert "lib/data.bin is not text (80.0 kB)" in shown.out
    assert "> FILE" in shown.out


@pytest.mark.parametrize("name", ["lib", "lib/", "./lib"])
def test_a_folder_is_listed(repo: Folder, model: Path, name: str) -> None:
    shown = type_command("show", f"{model}:{name}", cwd=repo.path)
    assert shown.out.splitlines() == ["lib/data.bin", "lib/net.py"]


def test_a_wrong_path_names_the_one_that_was_meant(repo: Folder, model: Path) -> None:
    shown = type_command("show", "model.pth:lib/nt.py", cwd=repo.path)
    assert shown.status == UsageError.exit_code
    assert "jellyml show model.pth:lib/net.py" in shown.err
    assert "--files" in type_command("show", "model.pth:zzzzz", cwd=repo.path).err


def test_a_colon_in_a_files_own_name_is_its_own(repo: Folder, model: Path) -> None:
    model.rename(repo.path / "a:b.pth")
    assert type_command("show", "a:b.pth", cwd=repo.path).status == 0
    shown = type_command("show", "a:b.pth:lib/net.py", cwd=repo.path)
    assert shown.out == "width = 8\n"


# How code is drawn.


def test_lines_are_whole_however_the_pieces_fall() -> None:
    data = "eins\nzwei\tü\r\n\nvier".encode()
    for size in range(1, 9):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        assert list(code.lines_of(pieces)) == ["eins", "zwei\tü", "", "vier"]


def test_a_line_without_end_comes_in_parts() -> None:
    lines = list(code.lines_of(b"x" * (1 << 16) for _ in range(40)))
    assert max(map(len, lines)) <= 1 << 16
    assert sum(map(len, lines)) == 40 << 16


def test_a_line_in_a_hunk_is_no_header() -> None:
    lines = ["@@ -1,2 +1 @@", "--- a/x", "-@@ -1 +1 @@", "+x", "diff --git a/y b/y"]
    coloured = list(code.difference(lines, colour=True))
    codes = [line[2 : line.index("m")] for line in coloured]
    assert codes == ["36", "31", "31", "32", "1"]


def test_a_lexer_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(path: str, code: str) -> object:
        time.sleep(20)
        return path, code

    monkeypatch.setattr(code, "_coloured", slow)
    monkeypatch.setattr(code, "_SECONDS", 0.05)
    assert code.highlighted("a.py", ["x = 1"], colour=True) == ["x = 1"]


def test_highlighting_changes_no_character() -> None:
    lines = ["def f(x):", "", "    return 'ü[bold]' # [red]", "", "", "x = 1", "\ty"]
    coloured = code.highlighted("a.py", lines, colour=True)
    assert [Text.from_ansi(line).plain if line else line for line in coloured] == [
        line.expandtabs() for line in lines
    ]
