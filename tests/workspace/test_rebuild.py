"""The true commit of a cut history: however many texts a manifest has, git is started as often."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import jellyml
from checkpoint_files import tensor
from conftest import Folder
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.repo import git
from jellyml.snapshot import serialization
from jellyml.workspace import Workspace, rebuild


def cut(repo: Folder, path: Path, texts: dict[str, str], *, own_first: bool = True) -> Path:
    """A checkpoint without its history, whose manifest has these texts too."""
    snapshot = jellyml.create_snapshot(repo.path, strict=True, history="none")
    manifest = serialization.parse_manifest(snapshot.manifest)
    code = manifest["code"]
    assert isinstance(code, dict)
    own = code.get("commit_texts", {})
    code["commit_texts"] = {**own, **texts} if own_first else {**texts, **own}
    record = serialization.manifest_record(manifest)
    torch.save({KEY: tensor(snapshot.filling), MANIFEST_KEY: tensor(record)}, path)
    return path


def text(number: int, *parents: str) -> str:
    lines = [f"tree {number:040x}", *(f"parent {one}" for one in parents)]
    person = "A <a@example.org> 1700000000 +0000"
    return "\n".join([*lines, f"author {person}", f"committer {person}", "", "a message\n"])


def junk(count: int) -> dict[str, str]:
    """Texts with parents that nobody has."""
    return {f"{n:040x}": text(n, f"{n + 10**9:040x}", f"{n + 10**10:040x}") for n in range(count)}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []
    real = subprocess.Popen.__init__

    def counted(self: Any, *args: Any, **named: Any) -> None:
        found.append(args[0])
        real(self, *args, **named)

    monkeypatch.setattr(git._Process, "__init__", counted)
    return found


@pytest.mark.parametrize("own_first", [True, False])
def test_many_texts_start_no_more_gits_than_none(
    repo: Folder, tmp_path: Path, started: list[object], own_first: bool
) -> None:
    repo.write("train.py", "edited\n")
    counts = []
    for count in (0, 200):
        model = cut(repo, tmp_path / f"{count}.pth", junk(count), own_first=own_first)
        # A copy each: the first load brings the commit that the second would make anew.
        copy = Folder(shutil.copytree(repo.path, tmp_path / f"copy {count}"))
        started.clear()
        Workspace(copy.path).load(model)
        counts.append(len(started))
        assert copy.git("rev-list", "--count", "HEAD") == b"3\n"
    assert counts[0] == counts[1]


def chain(count: int, first: str, tree: str) -> tuple[dict[str, str], str]:
    """Commits on top of ``first``, all of one tree: their texts, and the last one's id."""
    texts, last = {}, first
    for number in range(count):
        content = text(number, last).replace(f"tree {number:040x}", f"tree {tree}")
        data = content.encode()
        last = hashlib.sha1(b"commit %d\0" % len(data) + data).hexdigest()
        texts[last] = content
    return texts, last


def test_a_long_chain_of_texts_is_made_anew_in_one_go(
    repo: Folder, tmp_path: Path, started: list[object]
) -> None:
    head = repo.git("rev-parse", "HEAD").decode().strip()
    tree = repo.git("rev-parse", "HEAD^{tree}").decode().strip()
    texts, last = chain(300, head, tree)
    model = _standing_for(repo, tmp_path / "chain.pth", texts, last)
    started.clear()
    Workspace(repo.path).load(model)
    assert repo.git("rev-parse", "HEAD").decode().strip() == last
    assert repo.git("rev-list", "--count", "HEAD") == b"302\n"
    assert len(started) < 60


def _standing_for(repo: Folder, path: Path, texts: dict[str, str], last: str) -> Path:
    snapshot = jellyml.create_snapshot(repo.path, strict=True, history="none")
    bundle = snapshot.filling[serialization.HEADER_SIZE :]
    code = (
        serialization.header(bundle, commit=serialization.head_of(bundle), stands_for=last) + bundle
    )
    manifest = serialization.manifest_record({"code": {"commit_texts": texts}})
    torch.save({KEY: tensor(code), MANIFEST_KEY: tensor(manifest)}, path)
    return path


@pytest.mark.parametrize("kind", ["a gap", "a circle", "too many", "another tree", "no parents"])
def test_what_does_not_lead_there_is_left_out(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    head = repo.git("rev-parse", "HEAD").decode().strip()
    tree = repo.git("rev-parse", "HEAD^{tree}").decode().strip()
    texts, last = chain(5, "1" * 40 if kind == "a gap" else head, tree)
    if kind == "a circle":  # in names alone: no text can hold its own digest
        texts = {last: texts[last].replace("parent ", f"parent {last}\nparent ")}
    elif kind == "too many":
        monkeypatch.setattr(rebuild, "_MOST_TEXTS", 4)
    elif kind == "another tree":
        texts, last = chain(1, head, "2" * 40)
    elif kind == "no parents":
        texts = {}
    outcome = Workspace(repo.path).load(_standing_for(repo, tmp_path / "x.pth", texts, last))
    assert outcome.commit != last
    assert any("its commit has no history" in each for each in outcome.warnings)
    assert repo.git("rev-list", "--count", "HEAD") == b"1\n"
