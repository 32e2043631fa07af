"""``jellyml check``: secrets of ten kinds and more, wherever they lie in the code; none printed."""

import json
import sys
from pathlib import Path

import pytest
import torch

import jellyml
from at_the_keyboard import save_model, type_command
from captures import untouched
from conftest import Folder
from jellyml.checkpoint.audit import Checked, check
from jellyml.errors import NoSnapshot
from planted_keys import HEX, PLANTED, SIGNS

WITHOUT_FORM = "password = 'Gr8-" + "correct-horse-42'"


@pytest.fixture
def model(repo: Folder) -> Path:
    """Each kind in a file of its own, some committed, and one that was taken out long ago."""
    repo.write("old.env", PLANTED["a Slack token"])
    repo.commit()
    repo.git("rm", "-q", "old.env")
    for number, secret in enumerate(list(PLANTED.values())[:11]):
        repo.write(f"committed/{number}.txt", f"\n{secret}\n")
    repo.commit()
    for number, secret in enumerate(list(PLANTED.values())[11:], start=11):
        repo.write(f"new/{number}.txt", f"\n{secret}\n")
    repo.write("settings.py", f"{WITHOUT_FORM}\n")
    repo.write("data.bin", b"\0" + b"x" * 100)
    with pytest.warns(jellyml.JellyWarning):
        return save_model(repo)


def named(checked: Checked, *, earlier: bool = False) -> set[tuple[str, int | None, str]]:
    return {(one.path, one.line, one.what) for one in checked.places if one.earlier == earlier}


def test_every_kind_is_found_committed_or_not(model: Path) -> None:
    found = named(check(model))
    for number, kind in enumerate(PLANTED):
        folder = "committed" if number < 11 else "new"
        assert (f"{folder}/{number}.txt", 2, kind) in found
    assert ("settings.py", 1, "Secret Keyword") in found


def test_the_history_is_searched_too(model: Path) -> None:
    assert named(check(model), earlier=True) == {("old.env", 1, "a Slack token")}


def test_no_secret_is_printed_and_the_status_says_that_there_are_some(
    repo: Folder, model: Path
) -> None:
    with untouched(repo.path):
        said = type_command("check", model, cwd=repo.path)
    assert said.status == 1
    assert "committed/1.txt:2: an AWS key\n" in said.out
    assert "old.env:1: a Slack token (in an earlier version, " in said.out
    for remedy in ("jellyml strip", "--history none", "log --find-object", "Revoke every key"):
        assert remedy in said.err
    as_json = type_command("check", model, "--json", cwd=repo.path)
    assert as_json.status == 1
    assert len(json.loads(as_json.out)["places"]) > len(PLANTED)
    for secret in (*PLANTED.values(), "correct-horse", SIGNS, HEX):
        assert secret not in said.out + said.err + as_json.out + as_json.err


def test_show_says_that_some_were_seen_when_it_was_saved(repo: Folder, model: Path) -> None:
    said = type_command("show", model, cwd=repo.path)
    assert f"{len(PLANTED) - 11} places looked like one when it was saved" in said.out
    repo.git("clean", "-fdq")
    assert "looked like" not in type_command("show", save_model(repo), cwd=repo.path).out


def test_clean_code_is_said_to_be_clean(repo: Folder) -> None:
    said = type_command("check", save_model(repo), cwd=repo.path)
    assert (said.status, said.err) == (0, "")
    assert "nothing was found" in said.out


def test_without_detect_secrets_it_says_what_it_cannot_see(
    repo: Folder, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("detect_secrets", "detect_secrets.core.secrets_collection"):
        monkeypatch.setitem(sys.modules, name, None)
    checked = check(model)
    assert not checked.is_installed
    assert ("settings.py", 1, "Secret Keyword") not in named(checked)
    assert ("committed/1.txt", 2, "an AWS key") in named(checked)


def test_when_time_is_up_known_forms_are_still_found(model: Path) -> None:
    checked = check(model, seconds=0)
    assert checked.by_form == checked.files + checked.earlier
    assert ("new/11.txt", 2, list(PLANTED)[11]) in named(checked)
    assert ("settings.py", 1, "Secret Keyword") not in named(checked)


def test_checkpoints_and_large_files(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.zeros(300_000)}, repo.path / "weights.pt")
    repo.write("corpus.txt", b"word word\n" * 2_000_000)
    token = PLANTED["a GitHub token"]
    repo.write("large.txt", b"word word\n" * 1_800_000 + token.encode() + b"\n")
    repo.commit()
    monkeypatch.setattr("jellyml.checkpoint.audit.MAX_FILE_SIZE", 19_000_000)
    model = save_model(repo)
    found = named(check(model))
    assert ("weights.pt", None, "a checkpoint") in found
    assert ("corpus.txt", None, "a large file") in found
    assert ("large.txt", 1_800_001, "a GitHub token") in found


def test_names_cannot_steer_the_terminal_or_leave_the_folder(repo: Folder) -> None:
    repo.write("a\x1b[31m.py", WITHOUT_FORM)
    repo.write("x" * 200 + ".py", WITHOUT_FORM)
    said = type_command("check", save_model(repo), cwd=repo.path)
    assert "a\\x1b[31m.py:1: Secret Keyword" in said.out
    assert f"{'x' * 200}.py:1: Secret Keyword" in said.out
    assert "\x1b" not in said.out + said.err


def test_no_code_no_check(repo: Folder, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1)}, tmp_path / "plain.pth")
    with pytest.raises(NoSnapshot):
        check(tmp_path / "plain.pth")
