"""A path that no file system can follow is refused in words, by every command and function."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import jellyml
from at_the_keyboard import save_model, type_command
from conftest import Folder
from jellyml.checkpoint.audit import check
from jellyml.cli.dispatch import COMMANDS, find, parser_of
from jellyml.compare.diff import diff
from jellyml.eat import EatArgsWithModel_dataclass, eat
from jellyml.errors import JellyError
from jellyml.extract_bundle import ExtractBundleArgs_dataclass, extract_bundle
from jellyml.fs.paths import path_of
from jellyml.git import GitArgs_dataclass, git
from jellyml.remote.address import parse_location
from jellyml.undo import UndoArgs_dataclass, undo
from jellyml.workspace import Workspace
from nobody import as_nobody

ODD = {
    "a link loop": "loop",
    "below a link loop": "loop/model.pth",
    "a name that is too long": "x" * 300,
    "a path that is too long": "x/" * 3000,
    "below a new folder, too long": "new/" + "x" * 300,
    "through a file": "plain.txt/model.pth",
    "a NUL": "a\0b",
}
# Every way to pass a path, as {}.
WORDS = {
    "eat": ["{}", "model.pth -c {}", "model.pth --to {}", "model.pth --to {} --dry-run"],
    "undonut": ["-c {}"],
    "redo": ["-c {}"],
    "restore": ["1 -c {}"],
    "history": ["-c {}", "--prune 1d -y -c {}"],
    "doctor": ["-c {}"],
    "show": ["{}", "{}:train.py", "{} --files", "{} --patch", "{} --json"],
    "list": ["{}", "--json {}", "--made-by {}", "--made-by HEAD -c {}"],
    "diff": ["{} model.pth", "model.pth {}", "model.pth -c {}", "model.pth model.pth --plot {}"],
    "log": ["{}", "--html {}", "--json {}"],
    "fill": ["{}", "plain.bin -c {}", "plain.bin --from {}", "{} --from model.pth"],
    "record": ["--watch {} -- true", "--resume -c {}"],
    "strip": ["{}", "{} --follow-links"],
    "check": ["{}", "{} --json"],
    "git": ["{} ls-remote", "{} clone {} look", "-c {} model.pth status"],
    "fix": [
        "extract-bundle {}",
        "extract-bundle model.pth -o {}",
        "delete-last-history-item -y -c {}",
        "clear-history -y -c {}",
        "get-history-path -c {}",
    ],
}
# What helps where it can and does not need the folder.
GOES_ON = {"log": ["-c {}"], "record": ["-c {} -- true"]}


@pytest.fixture
def place(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    save_model(repo)
    torch.save({"weight": torch.ones(3)}, repo.path / "plain.bin")
    repo.write("plain.txt", "not a folder\n")
    (repo.path / "loop").symlink_to("loop")
    monkeypatch.chdir(repo.path)
    return repo


def test_every_command_and_every_option_that_takes_a_path_is_tried() -> None:
    assert list(WORDS) == [row.name for row in COMMANDS]
    for name, ways in WORDS.items():
        told = " ".join(ways + GOES_ON.get(name, []))
        for action in _actions(parser_of(find(name))):
            if action.type in (path_of, parse_location) and action.option_strings:
                used = [one for one in action.option_strings if f"{one} {{}}" in told]
                assert used, (name, action.option_strings)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = list(parser._actions)
    for action in parser._actions:
        assert action.type is not Path, "path_of refuses what no path can be"
        if isinstance(action, argparse._SubParsersAction):
            found += [each for part in action.choices.values() for each in _actions(part)]
    return found


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("command", WORDS)
def test_a_command_refuses_it(place: Folder, command: str, kind: str) -> None:
    before = sorted(place.path.rglob("*"))
    wrong = []
    for way in WORDS[command]:
        words = [word.replace("{}", ODD[kind]) for word in way.split()]
        said = type_command(command, *words, cwd=place.path)
        if said.status not in (1, 2) or "Error: " not in said.err:
            wrong.append(f"{way}: {said.status} {said.err}")
        assert "Traceback" not in said.err
    assert not wrong, "\n".join(wrong)
    assert sorted(place.path.rglob("*")) == before


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("command", GOES_ON)
def test_or_goes_on_without(place: Folder, command: str, kind: str) -> None:
    for way in GOES_ON[command]:
        words = [word.replace("{}", ODD[kind]) for word in way.split()]
        said = type_command(command, *words, cwd=place.path)
        refused = kind == "a NUL" and said.status == 2
        assert said.status == 0 or refused, said
        assert "mistake" not in said.err


def test_what_may_not_be_reached_is_refused_in_words(place: Folder) -> None:
    place.write("shut/model.pth", b"weights")
    (place.path / "shut").chmod(0)

    def act() -> str:
        wrong = []
        for command, ways in WORDS.items():
            for way in ways:
                words = [word.replace("{}", "shut/model.pth") for word in way.split()]
                said = type_command(command, *words, cwd=place.path)
                if said.status not in (1, 2) or "Error: " not in said.err:
                    wrong.append(f"{command} {way}: {said}")
        for name, call in CALLS.items():
            try:
                call("shut/model.pth")
                wrong.append(f"{name}: no error")
            except JellyError:
                pass
            except Exception as error:  # noqa: BLE001 - any other is what the test looks for
                wrong.append(f"{name}: {error!r}")
        return "\n".join(wrong)

    assert as_nobody((place.path,), act) == ""


Call = Callable[[Any], object]
CALLS: dict[str, Call] = {
    "open": lambda path: jellyml.open(path).commit,
    "check": lambda path: check(path),
    "diff": lambda path: diff(path, "model.pth"),
    "diff, the other": lambda path: diff("model.pth", path),
    "diff, folder": lambda path: diff("model.pth", folder=path),
    "fill": jellyml.fill,
    "fill, code_dir": lambda path: jellyml.fill("plain.bin", code_dir=path),
    "fill, source": lambda path: jellyml.fill("plain.bin", source=path),
    "strip": jellyml.strip,
    "create_snapshot": lambda path: jellyml.create_snapshot(path, strict=True),
    "create_snapshot, not strict": lambda path: jellyml.create_snapshot(path),
    "create_snapshot, bundle": lambda path: jellyml.create_snapshot(
        out_git_bundle_path=path, strict=True
    ),
    "Workspace": lambda path: Workspace(path).history(),
    "Workspace, load": lambda path: Workspace().load(path),
    "Workspace, to": lambda path: Workspace().load("model.pth", to=path),
    "eat": lambda path: eat(EatArgsWithModel_dataclass(path)),
    "eat, code_dir": lambda path: eat(EatArgsWithModel_dataclass("model.pth", code_dir=path)),
    "undo": lambda path: undo(UndoArgs_dataclass(code_dir=path)),
    "git": lambda path: git(GitArgs_dataclass([path, "ls-remote"])),
    "extract_bundle": lambda path: extract_bundle(ExtractBundleArgs_dataclass(path)),
    "extract_bundle, to": lambda path: extract_bundle(
        ExtractBundleArgs_dataclass("model.pth", path)
    ),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", CALLS)
def test_a_function_refuses_it(place: Folder, name: str, kind: str) -> None:
    before = sorted(place.path.rglob("*"))
    for path in (ODD[kind], Path(ODD[kind])):
        with pytest.raises(JellyError) as caught:
            CALLS[name](path)
        assert caught.value.fix
    assert sorted(place.path.rglob("*")) == before


def test_a_link_loop_deep_in_a_folder_is_walked_past(place: Folder) -> None:
    said = type_command("list", ".", cwd=place.path)
    assert (said.status, said.out.count("\n")) == (0, 1), said
