"""Folders that came from somebody else: with a repository, settings and states that attack."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import fingerprint
import jellyml
from conftest import Folder
from jellyml.snapshot.snapshot import Snapshot
from jellyml.workspace import Workspace

HOOKS = (
    "applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit",
    "prepare-commit-msg", "commit-msg", "post-commit", "pre-rebase", "post-checkout",
    "post-merge", "pre-push", "reference-transaction", "push-to-checkout", "pre-auto-gc",
    "post-rewrite", "fsmonitor-watchman", "post-index-change", "update", "pre-receive",
)  # fmt: skip
MODULES = ("platformdirs", "rich", "tomli", "numpy", "torch", "fsspec", "pygments", "uv", "git")


class Outside:
    """What is not the folder's: it must be as it was, and its marker program must not run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.marks = path.parent / "marks"
        self.marks.mkdir()
        (path / "empty").mkdir(parents=True)
        (path / "secret").write_text("the user's own\n")
        (path / "secret").chmod(0o640)
        (path / "models").mkdir()
        self.program = path / "marker"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" > "{self.marks}/$$"\ncat\n')
        self.program.chmod(0o755)
        self.before = fingerprint.files(path)

    def untouched(self) -> bool:
        return fingerprint.files(self.path) == self.before

    def ran(self) -> list[str]:
        return [one.read_text() for one in self.marks.iterdir()]


def loaded(work: Folder, model: Path) -> Folder:
    """A repository in which a real load was done, so that there are a state and an operation."""
    work.git("init", "-q", "-b", "main")
    work.write("train.py", "print('one')\n")
    work.write("lib/net.py", "width = 8\n")
    work.commit("first")
    work.write("train.py", "print('loaded')\n")
    work.write("payload.py", "print('payload')\n")
    model.write_bytes(jellyml.create_snapshot(work.path, strict=True).filling)
    work.git("reset", "-q", "--hard")
    work.git("clean", "-fdq")
    Workspace(work.path).load(model)
    return work


def private(work: Folder) -> Path:
    return work.path / ".git" / "jellyml" / "main"


def forge(work: Folder, **changes: object) -> None:
    """Make the load one that was begun and not done, with an entry as the attacker wants it."""
    forge_at(private(work), **changes)


def forge_at(place: Path, **changes: object) -> None:
    path = place / "ops" / "00000001.json"
    entry = json.loads(path.read_bytes())
    facts: dict[str, object] = {"head": [None, None], "operation": {}, "index": None}
    entry |= {"status": "begun", "facts": facts} | changes
    path.write_text(json.dumps(entry))


def side(path: Path) -> list[str]:
    """How an entry names a file: its mode and blob."""
    oid = subprocess.run(
        ["git", "hash-object", "--no-filters", str(path)], capture_output=True, check=True
    )
    return ["100644", oid.stdout.decode().strip()]


def bare_inside(work: Folder, name: str, program: Path) -> Path:
    """A folder of code that git takes for a repository of its own, with a forged operation."""
    inner = work.path / name
    shutil.copytree(work.path / ".git", inner)
    config = (
        f"[core]\n\tbare = false\n\tworktree = .\n\tpager = {program}\n\tfsmonitor = {program}\n"
        f'[filter "evil"]\n\tclean = {program}\n\tsmudge = {program}\n'
    )
    (inner / "config").write_text(config)
    (inner / ".gitattributes").write_text("* filter=evil\n")
    (inner / "index").unlink(missing_ok=True)
    return inner


def arm(work: Folder, program: Path) -> None:
    """Have every setting, hook and file from which a program could start name the marker."""
    for hook in HOOKS:
        path = work.path / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(program)
    with (work.path / ".git" / "config").open("a") as file:
        file.write(_settings(program))
    work.write(".gitattributes", "*.py filter=evil diff=evil merge=evil\n*.txt filter=a=b\n")
    work.write("notes.txt", "a=b\n")
    for module in MODULES:
        text = f"import os\nos.system({str(program)!r} + ' < /dev/null')\nraise ImportError\n"
        work.write(f"{module}.py", text)
    for name in ("git", "less", "cat", "sh", "vi"):
        (work.path / name).symlink_to(program)


def _settings(program: Path) -> str:
    return f"""
[core]
    pager = {program}
    editor = {program}
    fsmonitor = {program}
    sshCommand = {program}
    askPass = {program}
    gitProxy = {program}
    alternateRefsCommand = {program}
    hooksPath = {program.parent}/hooks
[sequence]
    editor = {program}
[diff]
    external = {program}
[diff "evil"]
    textconv = {program}
    command = {program}
[merge "evil"]
    driver = {program}
[filter "evil"]
    clean = {program}
    smudge = {program}
    process = {program}
    required = true
[filter "a=b"]
    clean = {program}
    process = {program}
[credential]
    helper = {program}
[gpg]
    program = {program}
[commit]
    gpgSign = true
[log]
    showSignature = true
[pager]
    show = {program}
    diff = {program}
    jellyml-page = {program}
[alias]
    jellyml-page = "!{program}"
    status = "!{program}"
[interactive]
    diffFilter = {program}
[status]
    submoduleSummary = true
[init]
    templateDir = {program.parent}/template
[protocol "ext"]
    allow = always
[remote "origin"]
    url = ext::{program}
    uploadpack = {program}
    promisor = true
    partialclonefilter = blob:none
[uploadpack]
    packObjectsHook = {program}
[url "ext::{program}"]
    insteadOf = https://
"""


def environment_with_here_on_path() -> dict[str, str]:
    """PATH as some have it, with the current folder first."""
    return {"PATH": f".{os.pathsep}{os.pathsep}{os.environ['PATH']}"}


def plant_record(git_dir: Path, snapshot: Snapshot, folders: Iterable[Path]) -> Path:
    """Write what an interrupted ``jellyml record`` leaves; returns its folder."""
    place = git_dir / "jellyml/records" / f"{os.getpid():x}-{time.time_ns():x}"
    place.mkdir(parents=True)
    (place / "filling").write_bytes(snapshot.filling)
    (place / "manifest").write_bytes(snapshot.manifest)
    plan = {
        "version": 1, "command": ["train"], "commit": snapshot.commit, "began": 0.0,
        "child": None, "ended": None, "before": [],
        "folders": [os.fsencode(one).hex() for one in folders],
    }  # fmt: skip
    (place / "plan.json").write_text(json.dumps(plan))
    return place
