"""Every kind of credential planted at once: each is found, and no command prints one."""

import json
import warnings
from pathlib import Path

import pytest
import torch

import jellyml
from at_the_keyboard import type_command, type_on_terminal
from conftest import Folder
from jellyml.checkpoint import Checkpoint
from planted_keys import HEX, LETTERS, PLANTED, SIGNS

# What a part of would be one too many.
TELLING = (
    SIGNS[:16],
    LETTERS[:16],
    HEX[:16],
    "MIIEpAIBAAKCAQEA7",
    "s3cr3t-pw",
    "QaEG5W7",
    "Q3EG5W7",
)
KINDS = set(PLANTED)
PATHS = {kind: f"keys/{number}.txt" for number, kind in enumerate(PLANTED)}


def telling(text: str) -> list[str]:
    return [part for part in (*PLANTED.values(), *TELLING) if part in text]


@pytest.fixture
def said_at_capture(repo: Folder) -> list[str]:
    """A clean checkpoint, and one with all kinds in new files and in its notes."""
    torch.save({"w": torch.ones(4), **jellyml.create_snapshot(repo.path)}, repo.path / "a.pth")
    for kind, path in PATHS.items():
        repo.write(path, f"\n{PLANTED[kind]}\n")
    notes = {"parent": "a.pth", "api_key": SIGNS, "said": "\n".join(PLANTED.values())}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        snapshot = jellyml.create_snapshot(repo.path, notes=notes)
    torch.save({"w": torch.zeros(4), **snapshot}, repo.path / "b.pth")
    return [str(one.message) for one in said]


def test_each_is_found_when_the_code_is_captured(repo: Folder, said_at_capture: list[str]) -> None:
    manifest = Checkpoint.open(repo.path / "b.pth").manifest
    assert manifest
    code = manifest["code"]
    assert isinstance(code, dict)
    assert {(one["path"], one["line"], one["kind"]) for one in code["secrets"]} == {
        (path, 2, kind) for kind, path in PATHS.items()
    }
    assert len(said_at_capture) == 11  # ten, and how many more
    assert telling("\n".join(said_at_capture)) == []
    assert telling(json.dumps(manifest)) == []


def test_each_is_found_in_a_finished_checkpoint(repo: Folder, said_at_capture: list[str]) -> None:
    for words in (("check", "b.pth"), ("check", "--json", "b.pth")):
        said = type_command(*words, cwd=repo.path)
        assert said.status == 1
        assert [kind for kind in KINDS if kind not in said.out] == []
        assert telling(said.out + said.err) == []


def test_each_is_found_when_a_checkpoint_is_filled(
    repo: Folder, said_at_capture: list[str]
) -> None:
    repo.commit()  # a capture alone would not look at them any more
    torch.save({"w": torch.ones(4)}, repo.path / "plain.pth")
    said = type_command("fill", "plain.pth", cwd=repo.path)
    assert said.status == 0
    manifest = Checkpoint.open(repo.path / "plain.pth").manifest
    assert manifest
    code = manifest["code"]
    assert isinstance(code, dict)
    assert {(one["path"], one["kind"]) for one in code["secrets"]} >= {
        (path, kind) for kind, path in PATHS.items()
    }
    assert telling(said.out + said.err + json.dumps(manifest)) == []


@pytest.mark.parametrize(
    "words",
    [
        "show b.pth",
        "show b.pth --json",
        "show b.pth --files",
        "show b.pth --packages",
        "list .",
        "list --json .",
        "log .",
        "log --by parent .",
        "log --json .",
        "diff a.pth b.pth --only env",
        "diff a.pth b.pth --only env --json",
        "diff a.pth b.pth --only weights",
        "load --dry-run b.pth",
        "strip b.pth",
    ],
)
def test_no_command_prints_one(repo: Folder, said_at_capture: list[str], words: str) -> None:
    said = type_command(*words.split(), cwd=repo.path)
    assert said.status == 0, said
    assert said.out + said.err
    assert telling(said.out + said.err) == []


def test_nor_on_a_terminal(repo: Folder, said_at_capture: list[str]) -> None:
    for words in ("show b.pth", "check b.pth", "diff a.pth b.pth --only env"):
        assert telling(type_on_terminal(*words.split(), cwd=repo.path).out) == []


def test_nor_does_the_page(repo: Folder, said_at_capture: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = type_command("log", "--html", page, ".", cwd=repo.path)
    assert said.status == 0
    text = page.read_text()
    assert "keys/3.txt" in text  # the difference of the code is in it
    assert text.count("***") >= len(KINDS)
    assert telling(text + said.out + said.err) == []


def test_the_code_itself_is_shown_as_it_is_to_who_asks(
    repo: Folder, said_at_capture: list[str]
) -> None:
    """Else it would be other code: a difference is exactly git's."""
    said = type_command("diff", "a.pth", "b.pth", "--only", "code", cwd=repo.path)
    assert PLANTED["a GitHub token"] in said.out
