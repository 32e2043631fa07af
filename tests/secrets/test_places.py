"""Credentials outside the content of files: in names, link targets, messages and authors."""

import json
import os
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
import torch

import jellyml
from at_the_keyboard import type_command
from conftest import Folder
from jellyml.checkpoint.audit import check
from jellyml.cli.views.catalog import about
from jellyml.errors import JellyWarning
from jellyml.secrets.places import in_commits, in_names, in_target
from jellyml.snapshot import serialization
from planted_keys import PLANTED, SIGNS

if TYPE_CHECKING:
    from jellyml.catalog.graph import Point

TOKEN = PLANTED["a GitHub token"]
NPM = PLANTED["an npm token"]


@pytest.fixture
def everywhere(repo: Folder) -> Folder:
    """A token in each place that is not the content of a file, all in the history."""
    repo.write("a.py", "x = 1\n")
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", f"First\n\nwith {TOKEN} in it")
    repo.write("b.py", "x = 2\n")
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "Second", f"--author={NPM} <a@example.org>")
    repo.write(f"keys/run-{TOKEN}.txt", "nothing\n")
    os.symlink(f"/srv/{TOKEN}/data", repo.path / "link")  # noqa: PTH211
    return repo


EXPECTED = {
    "the name of keys/run-***.txt": "a GitHub token",
    "the target of link": "a GitHub token",
}


def _places(rows: object) -> dict[str, str]:
    assert isinstance(rows, list)
    return {str(row["path"]): str(row["kind"]) for row in rows}


def _commits(repo: Folder) -> dict[str, str]:
    first, second = (repo.git("rev-parse", f":/{one}").decode()[:7] for one in ("First", "Second"))
    return {
        f"the message of commit {first}": "a GitHub token",
        f"the author of commit {second}": "an npm token",
    }


def _captured(repo: Folder, **options: object) -> jellyml.Snapshot:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JellyWarning)
        return jellyml.create_snapshot(repo.path, **options)  # type: ignore[arg-type]


def _rows(snapshot: jellyml.Snapshot) -> object:
    code = serialization.parse_manifest(snapshot.manifest)["code"]
    assert isinstance(code, dict)
    return code.get("secrets")


def test_a_capture_names_each_place(everywhere: Folder) -> None:
    with pytest.warns(JellyWarning) as warned:
        snapshot = jellyml.create_snapshot(everywhere.path)
    assert _places(_rows(snapshot)) == EXPECTED | _commits(everywhere)
    text = "\n".join(str(each.message) for each in warned)
    for place in EXPECTED:
        assert place in text
    assert TOKEN not in text + snapshot.manifest.decode()
    assert NPM not in text + snapshot.manifest.decode()


def test_a_capture_names_only_what_is_packed(everywhere: Folder) -> None:
    second = {place: kind for place, kind in _commits(everywhere).items() if "author" in place}
    assert _places(_rows(_captured(everywhere, history="none"))) == EXPECTED
    packed = _places(_rows(_captured(everywhere, history=1)))
    assert {place.partition(" commit")[0] for place in packed} == {
        *EXPECTED, *(place.partition(" commit")[0] for place in second)
    }  # fmt: skip
    everywhere.git("add", "-A")
    everywhere.git("commit", "-q", "-m", "Third")
    names = {"the name of keys/run-***.txt": "a GitHub token"}  # the link is in HEAD
    assert _places(_rows(_captured(everywhere))) == names | _commits(everywhere)


def test_a_check_names_each_place_and_shows_none(everywhere: Folder) -> None:
    everywhere.git("add", "-A")
    everywhere.git("commit", "-q", "-m", "Third")
    everywhere.git("mv", f"keys/run-{TOKEN}.txt", "renamed.txt")
    everywhere.git("commit", "-q", "-m", "Fourth")
    path = everywhere.path / "m.pth"
    torch.save({"w": torch.ones(4), **_captured(everywhere)}, path)
    found = {place.path: (place.what, place.earlier) for place in check(path, seconds=0).places}
    expected = {place: (kind, "link" not in place) for place, kind in EXPECTED.items()}
    expected |= {place: (kind, True) for place, kind in _commits(everywhere).items()}
    assert found == expected
    for words in (("check", "m.pth"), ("check", "--json", "m.pth"), ("show", "--files", "m.pth")):
        said = type_command(*words, cwd=everywhere.path)
        assert TOKEN not in said.out + said.err
        assert NPM not in said.out + said.err


def test_a_file_with_a_token_in_its_name_is_named_without_it(repo: Folder) -> None:
    repo.write(f"{TOKEN}.py", f"token = '{NPM}'\n")
    with pytest.warns(JellyWarning) as warned:
        snapshot = jellyml.create_snapshot(repo.path)
    text = "".join(str(each.message) for each in warned)
    assert "an npm token in line 1 of ***.py" in text
    assert TOKEN not in text
    torch.save({"w": torch.ones(4), **snapshot}, repo.path / "m.pth")
    assert TOKEN not in repr(check(repo.path / "m.pth", seconds=0))
    said = type_command("check", "--json", "m.pth", cwd=repo.path)
    assert {place["path"] for place in json.loads(said.out)["places"]} == {
        "***.py", "the name of ***.py"
    }  # fmt: skip
    listed = type_command("show", "--files", "m.pth", cwd=repo.path)
    assert "***.py\n" in listed.out


def test_the_page_and_the_listings_mask_them(everywhere: Folder, tmp_path: Path) -> None:
    everywhere.git("add", "-A")
    everywhere.git("commit", "-q", "-m", f"{TOKEN} is the subject")
    everywhere.git("checkout", "-q", "-b", f"branch-{TOKEN}")
    torch.save({"w": torch.ones(4), **_captured(everywhere)}, everywhere.path / f"{NPM}.pth")
    everywhere.write(f"other-{TOKEN}.py", "y = 1\n")
    torch.save({"w": torch.zeros(4), **_captured(everywhere)}, everywhere.path / "b.pth")
    page = tmp_path / "page.html"
    assert type_command("log", "--html", page, ".", cwd=everywhere.path).status == 0
    texts = [page.read_text()]
    for words in ("log .", "log --json .", "log --by parent .", "list .", "list --json ."):
        said = type_command(*words.split(), cwd=everywhere.path)
        assert said.status == 0
        texts += [said.out, said.err]
    torch.save({"w": torch.ones(4)}, everywhere.path / f"{TOKEN}.pth")
    said = type_command("fill", f"{TOKEN}.pth", cwd=everywhere.path)
    assert said.status == 0
    texts += [said.out, said.err]
    assert [text for text in texts if SIGNS[:16] in text] == []
    assert "***.pth" in "".join(texts)


def test_a_subject_is_masked_before_the_page_cuts_it() -> None:
    point = SimpleNamespace(members=(), subject=f"fix {TOKEN}", between=0, others=())
    assert list(about(cast("Point", point))) == ["fix ***"]


def test_the_path_of_a_link_is_masked_too() -> None:
    found = list(in_target(f"{TOKEN}/link", f"/srv/{NPM}".encode()))
    assert found == [("the target of ***/link", 1, "an npm token")]


def test_names_are_found_once_each() -> None:
    paths = [f"{TOKEN}/{number}.py" for number in range(5)] + [f"a/{TOKEN}/x", f"new\nline-{NPM}"]
    assert [(place.path, place.kind) for place in in_names(paths)] == [
        ("the name of ***", "a GitHub token"),
        ("the name of new\nline-***", "an npm token"),
    ]


def test_a_commit_is_searched_in_every_part() -> None:
    fine = f"{'2' * 40}\nA <a@h>\nB <b@h>\n\nfine\n\0\n"
    record = f"{'1' * 40}\n{NPM} <a@h>\nB <{TOKEN}@h>\n\nsubject\n\n{NPM}\n\0\n"
    assert list(in_commits((fine + record).encode())) == [
        ("the author of commit 1111111", 1, "an npm token"),
        ("the committer of commit 1111111", 1, "a GitHub token"),
        ("the message of commit 1111111", 3, "an npm token"),
    ]
