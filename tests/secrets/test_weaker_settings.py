"""Settings that weaken a guard are named: they may have come with loaded code."""

import json
import sys
import warnings

import pytest
import torch

import jellyml
from at_the_keyboard import type_command
from conftest import Folder
from planted_keys import PLANTED

WEAK = """
[tool.jellyml]
on_secrets = "ignore"
max_file_size = 90000000
max_untracked = 900000000
"""
SENTENCES = [
    'pyproject.toml sets on_secrets = "ignore": credentials are not reported.',
    "pyproject.toml sets max_file_size = 90000000, above the default of 50000000.",
    "pyproject.toml sets max_untracked = 900000000, above the default of 250000000.",
]


@pytest.fixture
def weak(repo: Folder) -> Folder:
    repo.write("pyproject.toml", WEAK)
    repo.write("key.py", PLANTED["a GitHub token"])
    torch.save({"w": torch.ones(4)}, repo.path / "plain.pth")
    return repo


def test_fill_names_them(weak: Folder) -> None:
    said = type_command("fill", "plain.pth", cwd=weak.path)
    assert said.status == 0
    assert [each for each in SENTENCES if each not in said.err] == []
    again = type_command("fill", "--from", "plain.pth", "plain.pth", cwd=weak.path)
    assert [each for each in SENTENCES if each not in again.err] == []


def test_record_names_them(weak: Folder) -> None:
    said = type_command("record", "--", sys.executable, "-c", "pass", cwd=weak.path)
    assert said.status == 0
    assert [each for each in SENTENCES if each not in said.err] == []


def test_check_names_and_ignores_them(weak: Folder) -> None:
    type_command("fill", "plain.pth", cwd=weak.path)
    said = type_command("check", "plain.pth", cwd=weak.path)
    assert said.status == 1
    assert "key.py:1: a GitHub token" in said.out
    assert [each for each in SENTENCES if each not in said.err] == []
    asked = json.loads(type_command("check", "--json", "plain.pth", cwd=weak.path).out)
    assert asked["settings"] == SENTENCES


@pytest.mark.parametrize("text", ["", '[tool.jellyml]\non_secrets = "error"\nmax_file_size = 1\n'])
def test_no_other_setting_is_named(repo: Folder, text: str) -> None:
    repo.write("pyproject.toml", text)
    torch.save({"w": torch.ones(4)}, repo.path / "plain.pth")
    said = type_command("fill", "plain.pth", cwd=repo.path)
    assert "sets" not in said.err
    assert (
        json.loads(type_command("check", "--json", "plain.pth", cwd=repo.path).out)["settings"]
        == []
    )


def test_a_capture_by_a_program_obeys_and_is_silent(weak: Folder) -> None:
    """The program's author knows the settings; only commands on foreign code name them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jellyml.create_snapshot(weak.path).commit
