"""A snapshot of many files is written in batches, and a git that a limit ends says so."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from hostile import Pack
from jellyml.errors import GitError
from jellyml.quarantine.quarantine import KERNEL_LIMITS, Limits
from jellyml.repo import git as repo_git
from jellyml.repo.git import Git
from jellyml.snapshot import serialization
from jellyml.workspace import Workspace, staging

MIB = 1 << 20
kernel = pytest.mark.skipif(not KERNEL_LIMITS, reason="no process can limit another here")


def code(repo: Folder) -> None:
    """Files whose rules lie in several folders, and whatever else git writes."""
    for folder, rule in (
        ("", "*.txt eol=crlf"),
        ("a/", "*.txt eol=lf"),
        ("b/c/", "*.bin eol=crlf"),
    ):
        repo.write(f"{folder}.gitattributes", f"{rule}\n")
        for number in range(12):
            repo.write(f"{folder}f{number}.txt", f"text {number}\n")
            repo.write(f"{folder}g{number}.bin", f"text {number}\n")
    repo.write("b/run.sh", "#!/bin/sh\n", executable=True)
    (repo.path / "link").symlink_to("a/f1.txt")
    repo.commit()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    real = subprocess.Popen.__init__

    def counted(self: Any, *args: Any, **named: Any) -> None:
        found.extend(word for word in args[0] if word == "checkout-index")
        real(self, *args, **named)

    monkeypatch.setattr(repo_git._Process, "__init__", counted)
    return found


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_come_out_as_one(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[str], size: int
) -> None:
    code(repo)
    model = tmp_path / "model.pth"
    torch.save({**jellyml.create_snapshot(repo.path, strict=True)}, model)
    Workspace(tmp_path).load(model, to=tmp_path / "whole")
    started.clear()
    monkeypatch.setattr(staging, "_AT_ONCE", size)
    write, largest = staging._check_out, []

    def measured(git: Git, *args: Any, **named: Any) -> None:
        assert git.index
        largest.append(int.from_bytes(git.index.read_bytes()[8:12], "big"))
        write(git, *args, **named)

    monkeypatch.setattr(staging, "_check_out", measured)
    Workspace(tmp_path).load(model, to=tmp_path / "batches")
    whole, batches = (Folder(tmp_path / name) for name in ("whole", "batches"))
    assert fingerprint.files(whole.path) == fingerprint.files(batches.path)
    assert batches.read("f1.txt") == batches.read("b/c/g1.bin") == b"text 1\r\n"
    assert batches.read("a/f1.txt") == batches.read("g1.bin") == b"text 1\n"
    assert batches.git("status", "--porcelain") == b""
    count = len(batches.git("ls-files").splitlines())
    assert len(started) == -(-count // size)
    assert max(largest) <= size + 3  # of the files of one batch, and their rules


@pytest.mark.torture
@kernel
def test_a_quarter_of_a_million_files_are_within_the_limits(tmp_path: Path) -> None:
    """By one git they took more processor time than a stranger's code may."""
    pack = Pack()
    blob = pack.blob()
    folder = pack.tree(*[("100644", f"f{n:05d}.py".encode(), blob) for n in range(5000)])
    head = pack.commit(pack.tree(*[("40000", f"d{n:02d}".encode(), folder) for n in range(50)]))
    bundle = pack.bundle(head)
    model = tmp_path / "model.pth"
    model.write_bytes(serialization.header(bundle, commit=head) + bundle)
    Workspace(tmp_path).load(model, to=tmp_path / "to")
    assert sum(len(names) for _, _, names in os.walk(tmp_path / "to" / "d49")) == 5000


# What a killed git says.


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program git whose script the test writes."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


LIMITS = Limits(memory=200 * MIB, seconds=1)


@kernel
def test_a_git_beyond_its_processor_time_names_the_limit(fake: Path, tmp_path: Path) -> None:
    fake.write_text("#!/bin/sh\nwhile :; do :; done\n")
    with pytest.raises(GitError, match="more processor time than is allowed") as caught:
        Git(tmp_path, hold=LIMITS.hold).run("checkout-index")
    assert "--max-unpacked" in caught.value.fix
    assert "checkout-index" in caught.value.problem


@kernel
@pytest.mark.parametrize("name", ["SIGXCPU", "SIGKILL"])
@pytest.mark.parametrize("way", ["run", "succeeds", "objects"])
def test_so_does_one_that_a_signal_ended(fake: Path, tmp_path: Path, name: str, way: str) -> None:
    fake.write_text(f"#!/bin/sh\nkill -{int(signal.Signals[name])} $$\n")
    limited, free = Git(tmp_path, hold=LIMITS.hold), Git(tmp_path)
    for git, words in ((limited, "processor time"), (free, "was ended by signal")):
        with pytest.raises(GitError, match=words) as caught:
            _asked(git, way)
        assert caught.value.fix
        assert ("--max-unpacked" in caught.value.fix) == (git is limited)


def _asked(git: Git, way: str) -> object:
    if way == "run":
        return git.run("cat-file")
    if way == "succeeds":
        return git.succeeds("cat-file")
    return list(git.read_objects(["1" * 40]))


@kernel
def test_one_without_memory_names_that_limit(fake: Path, tmp_path: Path) -> None:
    fake.write_text("#!/bin/sh\necho 'fatal: Out of memory, malloc failed' >&2\nexit 128\n")
    with pytest.raises(GitError, match="more memory than is allowed") as caught:
        Git(tmp_path, hold=LIMITS.hold).run("check-attr")
    assert "--max-unpacked" in caught.value.fix
    with pytest.raises(GitError, match="Out of memory"):
        Git(tmp_path).run("check-attr")


def test_a_git_that_says_nothing_and_was_not_killed(fake: Path, tmp_path: Path) -> None:
    fake.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(GitError, match="git status failed: no reason given"):
        Git(tmp_path).run("status")
