"""The command line, typed as a user types it: into pipes and on a real terminal."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from at_the_keyboard import (
    PROGRAM,
    ROOT,
    environment,
    save_model,
    start_command,
    type_command,
    type_on_terminal,
)
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from jellyml.cli import dispatch
from jellyml.cli.dispatch import COMMANDS
from jellyml.cli.views import art
from jellyml.errors import BadSnapshot, JellyError, UnsafeToContinue, UsageError
from jellyml.workspace.operation_log import Journal

NAMES = [name for row in COMMANDS for name in (row.name, *row.aliases)]


@pytest.fixture
def model(repo: Folder) -> Path:
    """Saved with an uncommitted edit and an untracked file; the code has changed since."""
    repo.write("train.py", "print('three')\n")
    repo.write("new.py", "x = 1\n")
    path = save_model(repo)
    repo.write("train.py", "print('four')\n")
    (repo.path / "new.py").unlink()
    return path


# The main way.


def test_load_undo_redo_restore(repo: Folder, model: Path) -> None:
    loaded = type_command("load", "model.pth", cwd=repo.path)
    assert (loaded.status, loaded.err) == (0, "")
    assert "jellyml undo" in loaded.out
    assert "git switch -c" in loaded.out
    assert (repo.read("train.py"), repo.read("new.py")) == (b"print('three')\n", b"x = 1\n")

    undone = type_command("undo", cwd=repo.path)
    assert (undone.status, undone.err) == (0, "")
    assert repo.read("train.py") == b"print('four')\n"
    assert not (repo.path / "new.py").exists()

    assert type_command("redo", cwd=repo.path).status == 0
    assert repo.read("new.py") == b"x = 1\n"

    entries = json.loads(type_command("history", "--json", cwd=repo.path).out)
    first = min(entry["number"] for entry in entries)
    assert type_command("restore", str(first), cwd=repo.path).status == 0
    assert repo.read("train.py") == b"print('four')\n"


def test_dry_run_lists_and_changes_nothing(repo: Folder, model: Path) -> None:
    said = type_command("load", "--dry-run", "model.pth", cwd=repo.path)
    assert said.status == 0
    assert said.out.splitlines() == ["add         new.py", "modify      train.py"]
    assert repo.read("train.py") == b"print('four')\n"


def test_to_writes_elsewhere(repo: Folder, model: Path, tmp_path: Path) -> None:
    said = type_command("load", "model.pth", "--to", tmp_path / "look", cwd=repo.path)
    assert said.status == 0
    assert (tmp_path / "look/train.py").read_bytes() == b"print('three')\n"
    assert repo.read("train.py") == b"print('four')\n"


@pytest.mark.parametrize("option", ["-c", "--code_dir", "--code-dir"])
def test_the_folder_can_be_named_and_lie_deep(repo: Folder, model: Path, option: str) -> None:
    said = type_command("eat", model, option, repo.path / "lib", "-q", cwd=Path("/"))
    assert (said.status, said.out, said.err) == (0, "", "")
    assert repo.read("new.py") == b"x = 1\n"


def test_quiet_says_nothing_when_all_is_well(repo: Folder, model: Path) -> None:
    for words in (("load", "model.pth"), ("undo",), ("redo",), ("fix", "clear-history")):
        assert type_command(*words, "-q", cwd=repo.path) == (0, "", "")


def test_nothing_to_undo_is_a_warning_even_when_quiet(repo: Folder) -> None:
    said = type_command("undo", "-q", cwd=repo.path)
    assert said.status == 0
    assert "Warning: " in said.err


# Exit codes and errors.


@pytest.mark.parametrize(
    ("words", "status", "problem", "fix"),
    [
        (["laod", "m.pth"], 2, "There is no command 'laod'.", "jellyml -h"),
        (["--foo"], 2, "There is no option '--foo'.", "jellyml -h"),
        (["load"], 2, "The following arguments are required: model_file.", "jellyml eat -h"),
        (["history", "--js"], 2, "Unrecognized arguments: --js.", "jellyml history -h"),
        (["restore", "x"], 2, "Argument N: invalid int value: 'x'.", "jellyml restore -h"),
        (["restore", "99"], 2, "There is no state 99.", "jellyml history"),
        (["history", "--prune"], 2, "What to prune is an age, a size, or --all.", ""),
        (["history", "--all"], 2, "What to prune is an age, a size, or --all.", ""),
        (["history", "--prune", "3x"], 2, "neither an age (30d, 12h, 8w, 1y) nor a size", ""),
        (["load", "no.pth"], 1, "no.pth", ""),
        (["load", "train.py"], 1, "carries no JellyML snapshot.", "put one in"),
        (["load", "train.py", "-c", "/"], 1, "carries no JellyML snapshot.", ""),
        (["undo", "-c", "/"], 1, "/ is not a git repository.", ""),
        (["fix", "extract-bundle", "train.py"], 1, "carries no JellyML snapshot.", ""),
        (["git", "train.py", "fetch", "{}"], 1, "carries no JellyML snapshot.", ""),
    ],
    ids=str,
)
def test_an_error_is_a_problem_a_fix_and_a_code(
    repo: Folder, words: list[str], status: int, problem: str, fix: str
) -> None:
    said = type_command(*words, cwd=repo.path)
    assert (said.status, said.out) == (status, "")
    assert said.err.startswith("Error: ")
    assert problem in said.err.replace("\n", " ")
    assert f"\nFix: {fix}" in said.err or not fix


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (JellyError("x"), 1),
        (PermissionError(13, "Permission denied", "/x"), 1),
        (UsageError("x"), 2),
        (UnsafeToContinue("x"), 3),
        (KeyError("x"), 70),
        (RecursionError(), 70),
    ],
    ids=repr,
)
def test_every_kind_of_problem_has_its_exit_code(
    problem: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(problem)) as raised:
        raise problem
    assert dispatch.explain(raised.value) == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert ("JELLYML_TRACEBACK" in said) == (status == 70)


def test_a_traceback_is_there_for_those_who_ask(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JELLYML_TRACEBACK", "1")
    dispatch.explain(KeyError("x"))
    assert "KeyError: 'x'" in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize("both", [False, True])
def test_a_reader_that_stops_early_is_no_error(repo: Folder, model: Path, both: bool) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, "load", "--dry-run", "model.pth"],
        cwd=repo.path,
        env=environment(),
        stdout=write,
        stderr=write if both else subprocess.PIPE,
    )
    os.close(write)
    assert done.returncode == 0
    assert b"Exception" not in (done.stderr or b"")


@pytest.mark.parametrize("words", [["--version"], ["-h"], ["history", "--json"]], ids=" ".join)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_disk_is_said(repo: Folder, words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, *words],
            cwd=repo.path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode
    assert done.stderr == b"Error: No space left on device.\n"


def test_an_interrupt_at_a_question_is_130(repo: Folder, model: Path) -> None:
    type_command("load", "model.pth", cwd=repo.path)
    said = type_on_terminal("fix", "clear-history", cwd=repo.path, answer=b"\x03")
    assert said.status == 130
    assert "Interrupted." in said.out
    assert "Traceback" not in said.out
    assert type_command("undo", cwd=repo.path).status == 0


# Asking.


@pytest.mark.parametrize(
    ("words", "answer", "done"),
    [
        (["fix", "clear-history"], b"n\n", False),
        (["fix", "clear-history"], b"\n", False),
        (["fix", "clear-history"], b"y\n", True),
        (["fix", "clear-history", "-y"], b"", True),
        (["fix", "clear-history", "-q"], b"", True),
        (["fix", "delete-last-history-item"], b"no\n", False),
        (["fix", "delete-last-history-item"], b"yes\n", True),
        (["history", "--prune", "--all"], b"n\n", False),
        (["history", "--prune", "--all"], b"y\n", True),
    ],
    ids=str,
)
def test_what_cannot_be_taken_back_is_asked_on_a_terminal(
    repo: Folder, model: Path, words: list[str], answer: bytes, done: bool
) -> None:
    type_command("load", "model.pth", cwd=repo.path)
    said = type_on_terminal(*words, cwd=repo.path, answer=answer)
    assert said.status == 0
    assert ("[y/N]" in said.out) == bool(answer)
    type_command("undo", cwd=repo.path)
    undone = repo.read("train.py") == b"print('four')\n"
    assert undone != done


def test_without_a_terminal_nobody_is_asked(repo: Folder, model: Path) -> None:
    type_command("load", "model.pth", cwd=repo.path)
    assert type_command("fix", "clear-history", cwd=repo.path).status == 0
    assert "Warning" in type_command("undo", cwd=repo.path).err
    assert json.loads(type_command("history", "--json", cwd=repo.path).out)


# History.


def test_history_as_json_and_as_lines(repo: Folder, model: Path) -> None:
    assert type_command("history", "--json", cwd=repo.path).out == "[]\n"
    assert type_command("history", cwd=repo.path).out == ""
    type_command("load", "model.pth", cwd=repo.path)

    entries = json.loads(type_command("history", "--json", cwd=repo.path).out)
    assert [entry["number"] for entry in entries] == sorted(
        (entry["number"] for entry in entries), reverse=True
    )
    assert {"time", "verb", "model", "commit", "current"} <= entries[0].keys()
    lines = type_command("history", cwd=repo.path).out.splitlines()
    assert len(lines) == len(entries)
    assert not any(line.startswith("*") for line in lines)  # what was loaded is a commit
    type_command("undo", cwd=repo.path)
    lines = type_command("history", cwd=repo.path).out.splitlines()
    assert [line[0] for line in lines] == [" ", "*"]


def test_history_on_a_terminal_is_a_table(repo: Folder, model: Path) -> None:
    model = model.rename(repo.path / "[bold]m.pth")
    type_command("load", model.name, cwd=repo.path)
    said = type_on_terminal("history", cwd=repo.path)
    assert said.status == 0
    assert "differed" in said.out
    assert "before load" in said.out
    assert "[bold]m.pth" in "".join(said.out.split())  # a name, not markup


def test_history_says_what_it_rolled_back(repo: Folder, model: Path) -> None:
    type_command("load", "model.pth", cwd=repo.path)
    journal = Journal(repo.path / ".git/jellyml/main/ops")
    journal.write(replace(journal.operations()[-1], status="begun"))
    said = type_command("history", "--json", cwd=repo.path)
    assert [entry["moment"] for entry in json.loads(said.out)] == ["during"]
    assert "A load that was interrupted was rolled back" in said.err
    assert "rolled back" not in type_command("history", cwd=repo.path).err


def test_prune_takes_everything_out(repo: Folder, model: Path) -> None:
    before = {path for path in (repo.path / ".git").rglob("*") if "jellyml" in path.name}
    type_command("load", "model.pth", cwd=repo.path)
    type_command("undo", cwd=repo.path)
    assert (repo.path / ".git/jellyml").exists()
    assert type_command("history", "--prune", "--all", cwd=repo.path).status == 0
    assert {p for p in (repo.path / ".git").rglob("*") if "jellyml" in p.name} == before


def test_prune_by_age_and_by_size(repo: Folder, model: Path) -> None:
    type_command("load", "model.pth", cwd=repo.path)
    for limit in ("30d", "2GB", "1.5 GiB", "8w"):
        assert type_command("history", "--prune", limit, cwd=repo.path).status == 0
        assert type_command("undo", "-q", cwd=repo.path) == (0, "", "")
        assert type_command("redo", "-q", cwd=repo.path) == (0, "", "")


def test_doctor_finds_a_sound_workspace_well(repo: Folder, model: Path) -> None:
    assert type_command("doctor", cwd=repo.path).status == 0
    type_command("load", "model.pth", cwd=repo.path)
    said = type_command("doctor", cwd=repo.path)
    assert (said.status, said.out) == (0, "All is well.\n")


# fix


def test_history_path_is_the_last_line_alone(repo: Folder) -> None:
    said = type_command("fix", "get-history-path", cwd=repo.path)
    assert said.status == 0
    assert Path(said.out.splitlines()[-1]).is_relative_to(repo.path / ".git")


def test_history_path_is_raw_in_a_pipe_and_harmless_on_a_terminal(folder: Folder) -> None:
    odd = folder.path / "o\x1b[31md\udcff"
    odd.mkdir()
    Folder(odd).git("init", "-q")
    piped = type_command("fix", "get-history-path", cwd=odd)
    assert Path(piped.out.removesuffix("\n")).is_relative_to(odd)
    shown = type_on_terminal("fix", "get-history-path", cwd=odd)
    assert "o\\x1b[31md\\xff" in shown.out
    assert "\x1b" not in shown.out


def test_extract_bundle_writes_exactly_the_bundle(repo: Folder, model: Path) -> None:
    bundle = b"".join(Checkpoint.open(model).bundle())
    for place, written in (
        ([], "model.pth.bundle"),
        (["-o", "lib"], "lib/model.pth.bundle"),
        (["--output_path", "a.bundle"], "a.bundle"),
        (["--output-path", "a.bundle"], "a.bundle"),
    ):
        said = type_command("fix", "extract-bundle", "model.pth", *place, cwd=repo.path)
        assert (said.status, said.out) == (0, "")
        assert repo.read(written) == bundle
    repo.git("clone", "-q", "a.bundle", "../cloned")
    assert (repo.path.parent / "cloned/new.py").read_bytes() == b"x = 1\n"


def test_extract_bundle_never_replaces_the_checkpoint(repo: Folder, model: Path) -> None:
    before = model.read_bytes()
    said = type_command("fix", "extract-bundle", "model.pth", "-o", "model.pth", cwd=repo.path)
    assert said.status == 2
    assert model.read_bytes() == before


def test_extract_bundle_of_a_damaged_checkpoint_leaves_nothing(repo: Folder, model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[data.index(b"# v2 git bundle") + 200] ^= 1
    model.write_bytes(data)
    said = type_command("fix", "extract-bundle", "model.pth", "-o", "out.bundle", cwd=repo.path)
    assert said.status == 1
    assert not [path for path in repo.path.iterdir() if "out.bundle" in path.name]


# git


def test_git_gets_the_bundle_and_gives_its_status(repo: Folder, model: Path) -> None:
    commit = Checkpoint.open(model).header.commit
    said = start_command("git", "model.pth", "ls-remote", "{}", cwd=repo.path)
    assert said == (0, f"{commit}\tHEAD\n", said.err)

    inside = start_command("git", "model.pth", "config", "--file=/dev/null", "a.b", cwd=repo.path)
    assert inside.status == 1
    assert start_command("git", "model.pth", "no-such-command", cwd=repo.path).status == 1
    assert start_command("git", "model.pth", "fetch", "no:{}", cwd=repo.path).status == 128


def test_git_replaces_inside_any_argument_and_leaves_nothing(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    place = tmp_path / "temporary files"
    place.mkdir()
    said = start_command(
        "git", "model.pth", "-c", "alias.say=!echo", "say", "<{}> <{}>", "--", "-h", "{}",
        cwd=repo.path, TMPDIR=str(place),
    )  # fmt: skip
    words = said.out.removesuffix("\n").split(" -- -h ")
    assert words[0] == f"<{words[1]}> <{words[1]}>"
    assert words[1].startswith(str(place))
    assert not list(place.iterdir())


def test_git_clone_and_fetch(repo: Folder, model: Path) -> None:
    assert start_command("git", "model.pth", "clone", "{}", cwd=repo.path).status == 0
    assert repo.read("model/new.py") == b"x = 1\n"
    assert start_command("git", "model.pth", "fetch", "{}", cwd=repo.path).status == 0
    assert repo.git("show", "FETCH_HEAD:train.py") == b"print('three')\n"


def test_git_runs_no_hook(repo: Folder, model: Path) -> None:
    hook = repo.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch ran\n", executable=True)
    repo.git("checkout", "-q", "HEAD")
    assert (repo.path / "ran").exists(), hook
    (repo.path / "ran").unlink()
    said = start_command("git", "model.pth", "checkout", "-q", "HEAD", cwd=repo.path)
    assert said.status == 0
    assert not (repo.path / "ran").exists()


def test_an_interrupt_is_for_git_to_answer(repo: Folder, model: Path) -> None:
    waiting = "alias.wait=!trap 'exit 7' INT; printf 'ready] '; read x"
    said = type_on_terminal(
        "git", "model.pth", "-c", waiting, "wait", cwd=repo.path, answer=b"\x03"
    )
    assert said.status in (7, 130)
    assert "Interrupted" not in said.out


def test_git_is_not_started_on_a_bundle_that_is_not_good(repo: Folder, tmp_path: Path) -> None:
    import torch

    from jellyml.formats.record import KEY
    from jellyml.snapshot import serialization

    other = Folder(tmp_path / "other")
    other.path.mkdir()
    other.git("init", "-q")
    blob = other.git("hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
    tree = other.git("mktree", stdin=f"100644 blob {blob}\t.GIT\n".encode()).decode().strip()
    commit = other.git("commit-tree", "-m", "x", tree).decode().strip()
    other.git("update-ref", "HEAD", commit)
    bundle = other.git("bundle", "create", "-q", "-", "HEAD")
    data = serialization.header(bundle, commit=commit) + bundle
    hostile = repo.path / "hostile.pth"
    torch.save({KEY: torch.frombuffer(bytearray(data), dtype=torch.uint8)}, hostile)

    said = start_command("git", "hostile.pth", "clone", "{}", "out", cwd=repo.path)
    assert said.status == BadSnapshot.exit_code
    assert not (repo.path / "out").exists()


# Help and pictures.


def test_help_in_a_pipe_is_text_alone(repo: Folder) -> None:
    for words in ([], ["-h"], ["--help"], ["eat", "-h"], ["fix", "extract-bundle", "--help"]):
        said = type_command(*words, cwd=repo.path)
        assert (said.status, said.err) == (0, "")
        assert said.out.isascii()
        assert "\x1b" not in said.out


def test_help_names_every_command_and_the_lines_that_everyone_needs(repo: Folder) -> None:
    said = type_command("-h", cwd=repo.path).out
    assert all(name in said for name in NAMES)
    assert all(line in said for line in dispatch.ESSENTIALS)


def test_the_donut_is_on_a_terminal_only(repo: Folder) -> None:
    coloured = type_on_terminal("-h", cwd=repo.path).out
    plain = type_on_terminal("-h", cwd=repo.path, more={"NO_COLOR": "1"}).out
    dumb = type_on_terminal("-h", cwd=repo.path, more={"TERM": "dumb"}).out
    none = type_on_terminal("-h", "--no_donut", cwd=repo.path).out

    assert all(line.rstrip() in coloured for line in art.donut(colour=True))
    assert all(line.rstrip() in plain for line in art.donut(colour=False))
    assert plain == dumb
    assert "\x1b" not in plain
    assert none == type_command("-h", cwd=repo.path).out
    eat = type_on_terminal("eat", "-h", "--no-donut", cwd=repo.path)
    assert eat.out == start_command("eat", "-h", cwd=repo.path).out
    assert max(map(len, plain.splitlines())) <= 80
    assert len(plain.splitlines()) < 34  # a window of a laptop, with room for the prompt


def test_the_donut_needs_an_encoding_that_has_it(repo: Folder) -> None:
    said = type_on_terminal("-h", cwd=repo.path, more={"PYTHONIOENCODING": "latin-1"})
    assert said.out == type_command("-h", cwd=repo.path).out


def test_a_narrow_terminal_gets_the_text_below_the_donut(repo: Folder) -> None:
    said = type_on_terminal("-h", cwd=repo.path, more={"COLUMNS": "60", "NO_COLOR": "1"})
    lines = [line.strip() for line in said.out.splitlines()]
    assert dispatch.ESSENTIALS[0] in lines


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_its_picture_and_a_clue(repo: Folder, row: dispatch.Command) -> None:
    shown = type_on_terminal(row.name, "-h", cwd=repo.path, more={"NO_COLOR": "1"}).out
    assert shown.startswith(art.PICTURES[row.name])
    assert shown.rstrip().endswith(art.clue(row.name))


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_a_picture_as_the_arguments_is_its_command(row: dispatch.Command) -> None:
    picture = art.PICTURES[row.name]
    indented = "\n".join(f"    {line}  " for line in picture.split("\n"))
    for pasted in ([picture], [indented], picture.split()):
        assert art.command_drawn([*pasted, "a", "b"]) == (row.name, ["a", "b"])
    assert art.command_drawn([picture[:-1], "a"]) is None


def test_pictures_are_one_to_one() -> None:
    assert {row.name for row in COMMANDS} == art.PICTURES.keys()
    assert len({"".join(drawn.split()) for drawn in art.PICTURES.values()}) == len(COMMANDS)
    # Pasted without quotes, no shell may see more in them than letters.
    assert not set("".join(art.PICTURES.values())) & set("'\"`$!&|;<>(){}[]*?#~\\")


def test_pasting_pictures_works_in_earnest(repo: Folder, model: Path) -> None:
    assert type_command(art.PICTURES["eat"], "model.pth", cwd=repo.path).status == 0
    assert repo.read("new.py") == b"x = 1\n"
    assert type_command(*art.PICTURES["undonut"].split(), cwd=repo.path).status == 0
    assert repo.read("train.py") == b"print('four')\n"
    for colour in (True, False):
        donut = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(art.donut(colour=colour)))
        assert type_command(donut, "model.pth", cwd=repo.path).status == 0


# The whole of it.


def test_the_three_programs_are_one() -> None:
    scripts = (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[1].split("[")[0]
    assert scripts.split() == [
        word for name in ("jellyml", "jelly", "jly") for word in (name, "=", '"jellyml.cli:main"')
    ]


def test_names_with_control_characters_are_shown_harmless(repo: Folder) -> None:
    repo.write("evil\x1b[31m\u202e.py", "x\n")
    save_model(repo, "mo\x1bdel.pth")
    for path in repo.path.glob("evil*"):
        path.unlink()
    for words in (
        ("load", "--dry-run", "mo\x1bdel.pth"),
        ("load", "mo\x1bdel.pth"),
        ("history",),
        ("history", "--json"),
        ("load", "no\x1bsuch.pth"),
        ("\x1b[31mcommand",),
    ):
        said = type_command(*words, cwd=repo.path)
        assert "\x1b" not in said.out + said.err, words
        assert "\u202e" not in said.out + said.err, words
    assert "\x1b[31m\u202e" not in type_on_terminal("history", cwd=repo.path).out


def test_closed_streams_are_no_reason_to_fail(repo: Folder) -> None:
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        for words in ("--version", "-h", "history", "undo"):
            command = f"exec {' '.join(PROGRAM)} {words} {closed}"
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=repo.path, env=environment(), capture_output=True
            )
            assert done.returncode == 0, (closed, words, done.stderr)
            assert b"Traceback" not in done.stderr


def test_python_dash_m(repo: Folder) -> None:
    assert start_command("--version", cwd=repo.path).out == "jellyml 2.0.0\n"
    assert start_command("--version", "--no_donut", cwd=repo.path).out == "jellyml 2.0.0\n"
