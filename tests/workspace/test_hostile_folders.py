"""A folder that came from somebody else, its ``.git`` included, starts nothing and stays inside."""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from at_the_keyboard import ROOT, start_command, type_command, type_on_terminal
from conftest import Folder
from jellyml.errors import JellyError, JellyWarning
from jellyml.repo.repository import Repository
from jellyml.workspace import Workspace
from planted import (
    Outside,
    arm,
    bare_inside,
    environment_with_here_on_path,
    forge,
    forge_at,
    loaded,
    plant_record,
    private,
    side,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the attacks are links and scripts")

GOING_BACK = ("history", "undo", "redo", "doctor")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    found = Outside(tmp_path / "outside")
    yield found
    assert found.untouched(), "something outside of the folder has changed"
    assert not found.ran(), "a program was started"


@pytest.fixture
def work(folder: Folder, tmp_path: Path) -> Folder:
    return loaded(folder, tmp_path / "model.jelly")


def go_back(work: Folder, tmp_path: Path, *, inside: str = "") -> None:
    """Every command that reads what JellyML keeps."""
    for word in GOING_BACK:
        type_command(word, cwd=work.path / inside)
    type_command("restore", "1", cwd=work.path / inside)
    type_command("load", tmp_path / "model.jelly", cwd=work.path / inside)
    type_command("history", "--prune", "0d", cwd=work.path / inside)


# Entries, states and records that lead elsewhere.

UP = "../outside/"


def a_move(outside: Outside) -> dict[str, object]:
    there = side(outside.path / "secret")
    return {"moves": [[f"{UP}secret", None, there], [f"{UP}new", there, None]]}


def a_set_aside_thing(outside: Outside) -> dict[str, object]:
    return {"aside": {"stolen": "../../../../outside/secret"}}


def a_thing_that_returns(outside: Outside) -> dict[str, object]:
    facts = {"head": [None, None], "returns": {f"{UP}secret": "aside/00000001/0000"}}
    return {"facts": facts}


def modes_and_folders(outside: Outside) -> dict[str, object]:
    facts = {"head": [None, None], "modes": {f"{UP}secret": 0}, "folders": [f"{UP}empty"]}
    return {"facts": facts}


def a_branch(outside: Outside) -> dict[str, object]:
    return {"facts": {"head": [None, None], "branch": "../../../../outside/secret"}}


ENTRIES = (a_move, a_set_aside_thing, a_thing_that_returns, modes_and_folders, a_branch)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_that_names_what_is_outside(
    work: Folder, outside: Outside, tmp_path: Path, entry: Callable[[Outside], dict[str, object]]
) -> None:
    forge(work, **entry(outside))
    said = type_command("history", cwd=work.path)
    assert said.status == 3
    assert "cannot be read" in said.err
    go_back(work, tmp_path)


@pytest.mark.parametrize("link", ["lib", "lib/deep"])
def test_an_entry_whose_path_leads_through_a_link(
    work: Folder, outside: Outside, tmp_path: Path, link: str
) -> None:
    (work.path / "lib/net.py").unlink()
    (work.path / "lib").rmdir()
    place = work.path / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside.path)
    there = side(outside.path / "secret")
    facts = {
        "head": [None, None],
        "modes": {f"{link}/secret": 0},
        "folders": [f"{link}/empty"],
        "returns": {f"{link}/secret": "aside/00000001/0000"},
    }
    moves = [[f"{link}/secret", None, there], [f"{link}/new", there, None]]
    forge(work, moves=moves, facts=facts)
    go_back(work, tmp_path)


def rewrite_state(work: Folder, change: Callable[[Folder, Path], None]) -> None:
    """Make state 1 another one, as somebody would who has read how it is kept."""
    store = Folder(private(work).parent / "store")
    ref = store.path / "refs/states/main/1"
    change(store, ref)


def named_tree(store: Folder, ref: Path, rows: list[tuple[str, str, str]]) -> None:
    """A commit whose tree is the state's, with raw entries that git would not write itself."""
    commit = ref.read_text().strip()
    tree = store.git("cat-file", "tree", f"{commit}^{{tree}}")
    for mode, name, oid in rows:
        tree += f"{mode} {name}\0".encode() + bytes.fromhex(oid)
    made = store.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=tree)
    made = store.git("commit-tree", made.strip(), "-m", "forged")
    ref.write_bytes(made)


def a_file_of_a_rebase(store: Folder, ref: Path) -> None:
    oid = store.git("hash-object", "-w", "--stdin", stdin=b"evil").decode().strip()
    row = b"100644 ../../outside/new\0" + bytes.fromhex(oid)
    tree = store.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=row)
    named_tree(store, ref, [("40000", "operation", tree.decode().strip())])


def a_file_above(store: Folder, ref: Path) -> None:
    """The files of the state: ``..`` as a folder."""
    oid = store.git("hash-object", "-w", "--stdin", stdin=b"evil").decode().strip()
    name = b"100644 new\0" + bytes.fromhex(oid)
    inner = store.git("hash-object", "-t", "tree", "-w", "--stdin", stdin=name).decode().strip()
    up = b"40000 outside\0" + bytes.fromhex(inner)
    middle = store.git("hash-object", "-t", "tree", "-w", "--stdin", stdin=up).decode().strip()
    row = b"40000 ..\0" + bytes.fromhex(middle)
    files = store.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=row)
    commit = ref.read_text().strip()
    kept = store.git("cat-file", "-p", f"{commit}:state.json")
    state = store.git("hash-object", "-w", "--stdin", stdin=kept).decode().strip()
    rows = b"40000 files\0" + bytes.fromhex(files.decode().strip())
    rows += b"100644 state.json\0" + bytes.fromhex(state)
    tree = store.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=rows)
    ref.write_bytes(store.git("commit-tree", tree.strip(), "-m", "forged"))


@pytest.mark.parametrize("change", [a_file_of_a_rebase, a_file_above])
def test_a_state_that_names_what_is_outside(
    work: Folder, outside: Outside, tmp_path: Path, change: Callable[[Folder, Path], None]
) -> None:
    rewrite_state(work, change)
    type_command("undo", cwd=work.path)
    go_back(work, tmp_path)
    assert not (outside.path / "new").exists()


def test_a_record_that_names_folders_elsewhere(work: Folder, outside: Outside) -> None:
    """``record --resume``, which ``doctor`` recommends, fills and removes inside only."""
    model = outside.path / "models" / "best.pth"
    torch.save({"weight": torch.arange(4.0)}, model)
    copy = outside.path / ".jellyml-record-1-2"
    copy.write_text("of the user's")
    outside.before = fingerprint.files(outside.path)
    snapshot = jellyml.create_snapshot(work.path)

    for folders, named in (
        ([outside.path / "models"], copy),
        ([work.path], copy),
        ([work.path], outside.path / "secret"),
    ):
        shutil.rmtree(work.path / ".git/jellyml/records", ignore_errors=True)
        place = plant_record(work.path / ".git", snapshot, folders)
        (place / "copy").write_bytes(os.fsencode(named))
        with_link = work.path / "models"
        with_link.unlink(missing_ok=True)
        with_link.symlink_to(outside.path / "models")
        said = type_command("doctor", cwd=work.path)
        assert "jellyml record --resume" in said.out
        assert ("--watch" in said.out) == (folders != [work.path])
        said = type_command("record", "--resume", cwd=work.path)
        assert said.status == (1 if folders == [work.path] else 3)
        assert "--watch" in said.err
        assert outside.untouched()


# Links.

LINKS = (
    "jellyml", "jellyml/main", "jellyml/main/ops", "jellyml/main/aside", "jellyml/main/stage",
    "jellyml/main/trash", "jellyml/main/rescue", "jellyml/main/fresh", "jellyml/store",
    "jellyml/store/objects", "jellyml/store/objects/pack", "jellyml/store/refs/states/main",
    "jellyml/store/refs", "jellyml/lfs", "jellyml/records", "jellyml-removed", "refs",
    "refs/heads", "refs/jellyml", "logs", "logs/HEAD", "rebase-merge", "objects", "objects/pack",
)  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("is_begun", [True, False])
def test_a_link_in_the_git_directory(
    work: Folder, outside: Outside, tmp_path: Path, name: str, is_begun: bool
) -> None:
    if is_begun:
        forge(work, aside={"data.bin": "aside/00000001/0000"})
    place, target = work.path / ".git" / name, outside.path / "target"
    if place.exists():
        shutil.move(place, target)
    else:
        target.mkdir()
        (target / "mine").write_text("the user's own\n")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    outside.before = fingerprint.files(outside.path)
    work.write("train.py", "print('edited')\n")

    go_back(work, tmp_path)
    type_command("record", "--resume", cwd=work.path)
    type_command("record", "--", "true", cwd=work.path)

    assert outside.untouched()


def test_links_in_the_cache(repo: Folder, home: Path, outside: Outside) -> None:
    jellyml.create_snapshot(repo.path)
    cache = home / ".cache" / "jellyml"
    for number in range(256):
        for kind in ("locks", "indexes"):
            place = cache / kind / f"{number:02x}"
            place.unlink(missing_ok=True)
            place.symlink_to(outside.path / f"new.{kind}")
    (cache / ".gitignore").unlink()
    (cache / ".gitignore").symlink_to(outside.path / "new")
    assert jellyml.create_snapshot(repo.path).filling
    for name in ("locks", "indexes", "captures"):
        shutil.rmtree(cache / name)
        (cache / name).symlink_to(outside.path)
        assert jellyml.create_snapshot(repo.path).filling
        assert outside.untouched()
    shutil.rmtree(cache)
    cache.symlink_to(outside.path)
    assert jellyml.create_snapshot(repo.path).filling


# Repositories that are not the folder's own.


def test_code_that_git_takes_for_a_repository(
    work: Folder, outside: Outside, tmp_path: Path
) -> None:
    """It is loaded, and named; started in it, no command obeys what it says."""
    there = side(work.write("mine.py", "of the user's\n"))
    inner = bare_inside(work, "assets", outside.program)
    forge_at(inner / "jellyml" / "main", moves=[["../mine.py", None, there]])
    with pytest.warns(JellyWarning):
        torch.save(dict(jellyml.create_snapshot(work.path)), tmp_path / "model.pth")
    shutil.rmtree(inner)
    (work.path / "mine.py").unlink()
    outcome = Workspace(work.path).load(tmp_path / "model.pth")
    assert any("assets looks like a git repository" in one for one in outcome.warnings)
    before = fingerprint.files(work.path)
    for inside in ("assets", "assets/objects"):
        for word in (*GOING_BACK, "list", "log"):
            type_command(word, cwd=work.path / inside)
        type_command("diff", tmp_path / "model.pth", cwd=work.path / inside)
        shown = type_on_terminal(
            "show", str(tmp_path / "model.pth"), "--files", cwd=work.path / inside,
            more={"PAGER": "cat"},
        )  # fmt: skip
        assert "train.py" in shown.out
        type_command("record", "--", "true", cwd=work.path / inside)
        with pytest.warns(JellyWarning, match="looks like one"):
            assert not jellyml.create_snapshot(work.path / inside).filling
    assert fingerprint.files(work.path) == before
    Workspace(work.path).undo()


def a_worktree_elsewhere(work: Folder, outside: Outside) -> Path:
    work.git("config", "core.worktree", str(outside.path))
    return work.path


def a_worktree_above(work: Folder, outside: Outside) -> Path:
    work.git("config", "core.worktree", "../..")
    return work.path


def a_git_file(work: Folder, outside: Outside) -> Path:
    place = Folder(work.path.with_name("came"))
    place.write(".git", f"gitdir: {work.path / '.git'}\n")
    return place.path


def a_git_link(work: Folder, outside: Outside) -> Path:
    place = Folder(work.path.with_name("came"))
    place.path.mkdir()
    (place.path / ".git").symlink_to(work.path / ".git")
    return place.path


def a_linked_worktrees(work: Folder, outside: Outside) -> Path:
    work.git("worktree", "add", "-q", "--detach", "../linked")
    place = Folder(work.path.with_name("came"))
    place.write(".git", f"gitdir: {work.path / '.git/worktrees/linked'}\n")
    return place.path


def a_shared_directory(work: Folder, outside: Outside) -> Path:
    place = Folder(work.path.with_name("came"))
    shutil.copytree(work.path / ".git", place.path / ".git")
    (place.path / ".git/commondir").write_text(str(work.path / ".git"))
    return place.path


@pytest.mark.parametrize(
    "lead",
    [
        a_worktree_elsewhere, a_worktree_above, a_git_file, a_git_link, a_linked_worktrees,
        a_shared_directory,
    ],
)  # fmt: skip
def test_a_folder_that_leads_git_to_another_one(
    work: Folder, outside: Outside, tmp_path: Path, lead: Callable[[Folder, Outside], Path]
) -> None:
    place = Folder(lead(work, outside))
    place.write("sub/inside.py", "1")
    named = {one: one.read_bytes() for one in (work.path / ".git").rglob("gitdir")}
    before = fingerprint.files(work.path), (work.path / ".git/HEAD").read_bytes()
    ops = fingerprint.files(private(work))
    for inside in ("", "sub"):
        go_back(place, tmp_path, inside=inside)
        with pytest.warns(JellyWarning, match="The code was not captured"):
            jellyml.create_snapshot(place.path / inside)
    assert (fingerprint.files(work.path), (work.path / ".git/HEAD").read_bytes()) == before
    assert fingerprint.files(private(work)) == ops
    assert {one: one.read_bytes() for one in named} == named


def by_a_file(place: Path, store: Path) -> None:
    (place / ".git").write_text(f"gitdir: {store}\n")


def by_a_link(place: Path, store: Path) -> None:
    (place / ".git").symlink_to(store)


@pytest.mark.parametrize("name", ["store", "project.git", ".git"])
@pytest.mark.parametrize("lead", [by_a_file, by_a_link])
def test_a_git_directory_of_its_own_name(
    work: Folder, home: Path, tmp_path: Path, lead: Callable[[Path, Path], None], name: str
) -> None:
    """``git init --separate-git-dir`` does not record whose it is: nothing is changed there."""
    snapshot = jellyml.create_snapshot(work.path)
    store = tmp_path / "apart" / name
    store.parent.mkdir()
    (work.path / ".git").rename(store)
    by_a_file(work.path, store)
    place = Folder(tmp_path / "came")
    place.write("train.py", "1")
    lead(place.path, store)
    plant_record(store, snapshot, [place.path])
    (home / ".gitconfig").write_text(f"[core]\n\tworktree = {place.path}\n")
    before = fingerprint.files(tmp_path / "apart")
    go_back(place, tmp_path)
    copied = ["record", "--", "cp", "-r", str(tmp_path / "apart"), str(tmp_path / "during")]
    type_command(*copied, cwd=place.path)
    assert fingerprint.files(tmp_path / "during") == before
    type_command("record", "--resume", cwd=place.path)
    assert fingerprint.files(tmp_path / "apart") == before
    there = type_command("load", tmp_path / "model.jelly", cwd=place.path)
    assert there.status == 1
    fix = there.err.partition("\nFix: ")[2].partition(": git ")[2]
    subprocess.run(f"git {fix}", shell=True, check=True)
    loaded = fingerprint.files(place.path)
    assert type_command("load", tmp_path / "model.jelly", "-y", cwd=place.path).status == 0
    assert fingerprint.files(place.path) != loaded
    assert type_command("undo", cwd=place.path).status == 0
    assert fingerprint.files(place.path) == loaded


# Programs.


def test_no_filter_is_started_by_a_capture(repo: Folder, outside: Outside, home: Path) -> None:
    """Not the repository's, and not the user's own: loaded code says which files it is for."""
    repo.write("notes.txt", "a=b\n")
    repo.commit("notes")
    arm(repo, outside.program)
    shutil.copy(repo.path / ".git/config", home / ".gitconfig")
    with pytest.warns(JellyWarning, match="its filter was not run"):
        assert jellyml.create_snapshot(repo.path, strict=True).filling
    assert not outside.ran()
    for name in ("train.py", "notes.txt"):  # of the same size, so that git has to compare
        os.utime(repo.path / name)
    with pytest.warns(JellyWarning, match="its filter was not run"):
        jellyml.create_snapshot(repo.path, strict=True)


def test_a_large_file_that_was_only_touched_is_no_change(repo: Folder) -> None:
    """What git-lfs's filter would find, without starting it."""
    import hashlib

    content = b"weights" * 1000
    digest = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 7000\n"
    repo.write("big.bin", pointer)
    repo.write(".gitattributes", "*.bin filter=lfs\n")
    head = repo.commit("a pointer")
    repo.write("big.bin", content)
    assert jellyml.create_snapshot(repo.path, strict=True).commit == head
    repo.write("big.bin", content[::-1])
    with pytest.warns(JellyWarning, match="its filter was not run"):
        assert jellyml.create_snapshot(repo.path, strict=True).commit != head


def test_nothing_is_fetched_for_what_a_partial_clone_lacks(repo: Folder, outside: Outside) -> None:
    with (repo.path / ".git/config").open("a") as file:
        file.write(
            "[extensions]\n\tpartialClone = origin\n[core]\n\trepositoryFormatVersion = 1\n"
            f'[remote "origin"]\n\turl = {repo.path}\n\tuploadpack = {outside.program}\n'
            "\tpromisor = true\n"
        )
    oid = repo.git("rev-parse", "HEAD:lib/net.py").decode().strip()
    repo.write("lib/net.py", "edited")  # so that the missing blob is not on disk either
    (repo.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    assert jellyml.create_snapshot(repo.path, history="none").filling
    with pytest.warns(JellyWarning, match="history was left out"):
        assert jellyml.create_snapshot(repo.path, history="auto").filling
    with pytest.warns(JellyWarning, match="was not captured"):
        jellyml.create_snapshot(repo.path, history="full")
    with pytest.raises(JellyError):
        jellyml.create_snapshot(repo.path, history="full", strict=True)
    with pytest.raises(JellyError):
        list(Repository.find(repo.path).git.read_objects([oid]))


def commands_of_the_readme() -> set[str]:
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `jellyml (\w+)", text, re.MULTILINE)
    return set(rows)


def typed(model: Path, work: Folder) -> dict[str, list[list[str]]]:
    """What a user would type, for every command of the README's table."""
    name = str(model)
    return {
        "history": [["history"], ["history", "--json"], ["history", "--prune", "99d", "-y"]],
        "undo": [["undo"]],
        "redo": [["redo"]],
        "doctor": [["doctor"]],
        "load": [["load", name], ["load", name, "--dry-run"], ["load", name, "--to", "../new"]],
        "show": [
            ["show", name], ["show", name, "--files"], ["show", name, "--patch"],
            ["show", f"{name}:train.py"], ["show", name, "--packages"],
        ],
        "diff": [["diff", name], ["diff", name, "--only", "code"], ["diff", "HEAD", name]],
        "list": [["list", "."], ["list", "..", "--made-by", "HEAD"]],
        "log": [["log", ".."], ["log", "..", "--by", "parent"]],
        "fill": [["fill", str(work.path / "plain.pth")]],
        "record": [["record", "--", "true"], ["record", "--resume"]],
        "strip": [["strip", str(work.path / "plain.pth")]],
        "check": [["check", name]],
        "git": [
            ["git", name, "ls-remote", "{}"], ["git", name, "fetch", "{}"],
            ["git", name, "bundle", "verify", "{}"], ["git", name, "clone", "{}", "../cloned"],
        ],
        "fix": [["fix", "extract-bundle", name, "-o", "../x.bundle"], ["fix", "get-history-path"]],
    }  # fmt: skip


@pytest.fixture
def armed(work: Folder, outside: Outside, tmp_path: Path) -> Path:
    """Everything at once; returns a model with its code."""
    shutil.copytree(outside.path / "empty", outside.path / "template" / "hooks")
    shutil.copy(outside.program, outside.path / "template" / "hooks" / "post-checkout")
    shutil.copytree(outside.path / "template" / "hooks", outside.path / "hooks")
    outside.before = fingerprint.files(outside.path)
    torch.save({"w": torch.arange(3.0)}, work.path / "plain.pth")
    arm(work, outside.program)
    inner = bare_inside(work, "assets", outside.program)
    there = side(work.path / "train.py")
    for place in (private(work), inner / "jellyml" / "main"):
        forge_at(place, moves=[["train.py", None, there], ["lib/net.py", there, there]])
    work.git("init", "-q", "--bare", "../other.git")
    (work.path / ".git/objects/info").mkdir(exist_ok=True)
    (work.path / ".git/objects/info/alternates").write_text(
        str(work.path.parent / "other.git/objects") + "\n"
    )
    model = tmp_path / "model.pth"
    with pytest.warns(JellyWarning):
        torch.save({"w": torch.arange(3.0), **jellyml.create_snapshot(work.path)}, model)
    return model


def test_every_command_starts_nothing(armed: Path, work: Folder, outside: Outside) -> None:
    """Each of the README's table, in a folder in which everything names a marker program."""
    commands = typed(armed, work)
    assert commands.keys() == commands_of_the_readme()
    for words in [one for every in commands.values() for one in every]:
        for inside in ("", "assets"):
            start_command(*words, cwd=work.path / inside, **environment_with_here_on_path())
            assert not outside.ran(), (words, inside, outside.ran())
            assert outside.untouched(), (words, inside)


def test_the_pager_is_the_users_own(
    armed: Path, work: Folder, outside: Outside, home: Path
) -> None:
    """On a terminal: the repository's is not started, the one of the user's settings is."""
    paging = [
        ["show", str(armed), "--files"],
        ["show", str(armed), "--patch"],
        ["diff", str(armed)],
    ]
    for words in paging:
        for inside in ("", "assets") if "diff" not in words else ("",):
            shown = type_on_terminal(*words, cwd=work.path / inside, more={"PAGER": "sed s/^/1:/"})
            assert "1:" in shown.out
            assert not outside.ran(), words
    (home / ".gitconfig").write_text('[core]\n\tpager = "sed s/^/own:/"\n')
    shown = type_on_terminal("show", str(armed), "--files", cwd=work.path)
    assert "own:" in shown.out


# While a load writes.


def test_a_folder_that_becomes_a_link_while_a_load_writes(
    folder: Folder, outside: Outside, tmp_path: Path
) -> None:
    folder.git("init", "-q")
    folder.write("keep.py", "1")
    folder.commit()
    for number in range(1500):
        folder.write(f"code/deep/{number}.py", f"{number}\n")
    model = tmp_path / "model.jelly"
    model.write_bytes(jellyml.create_snapshot(folder.path, strict=True).filling)
    for _ in range(3):
        folder.git("clean", "-fdq")
        (folder.path / "code").unlink() if (folder.path / "code").is_symlink() else None
        ended = threading.Event()

        def swap(ended: threading.Event = ended) -> None:
            while not ended.is_set():
                place = folder.path / "code"
                if place.is_dir() and not place.is_symlink() and any(place.glob("deep/*")):
                    place.rename(tmp_path / f"moved{time.monotonic_ns()}")
                    place.symlink_to(outside.path)
                    return

        (outside.path / "deep").mkdir(exist_ok=True)
        outside.before = fingerprint.files(outside.path)
        thread = threading.Thread(target=swap)
        thread.start()
        try:
            Workspace(folder.path).load(model)
        except JellyError:
            pass
        finally:
            ended.set()
            thread.join()
        assert outside.untouched()
        Workspace(folder.path).history()
        assert outside.untouched()


# What is honest goes on.


def test_an_honest_repository_of_the_same_shapes(
    folder: Folder, outside: Outside, tmp_path: Path
) -> None:
    """A folder with HEAD, objects and refs is code; a copied repository takes its states along."""
    work = loaded(folder, tmp_path / "model.jelly")
    work.write("assets/HEAD", "ref: refs/heads/main\n")
    work.write("assets/objects/a", "1")
    work.write("assets/refs/b", "2")
    before = fingerprint.workspace(work)
    Workspace(work.path).load(tmp_path / "model.jelly")
    Workspace(work.path).undo()
    assert fingerprint.workspace(work) == before
    copy = Folder(tmp_path / "elsewhere" / "copy")
    shutil.copytree(work.path, copy.path, symlinks=True)
    Workspace(copy.path).redo()
    assert copy.read("train.py") == b"print('loaded')\n"
    Workspace(copy.path).undo()
    Workspace(copy.path).undo()
    assert copy.read("train.py") == b"print('one')\n"
    assert Workspace(copy.path).doctor() == []


def test_a_rollback_can_be_taken_back(work: Folder, outside: Outside) -> None:
    """A forged entry can at most move what came with it; the state it was found in is kept."""
    work.write(".gitignore", "*.bin\n")
    work.write("data.bin", "ignored\n")
    work.write("mine.py", "of the user's\n")
    (work.path / "mine.py").chmod(0o600)
    there = side(work.path / "mine.py")
    facts = {
        "head": [None, None],
        "modes": {"train.py": 0o777},
        "returns": {"data.bin": "aside/00000001/0000"},
    }
    forge(work, moves=[["mine.py", None, there], ["new.py", there, None]], facts=facts)
    before = fingerprint.workspace(work)

    said = type_command("history", cwd=work.path)

    assert not (work.path / "mine.py").exists()
    number = re.search(r"jellyml restore (\d+)", said.err)
    assert number
    assert "during load" in said.out
    type_command("restore", number[1], cwd=work.path)
    assert fingerprint.workspace(work)["files"] == before["files"]


# What a reviewer's attack found.


def a_reflog(work: Folder, outside: Outside, commit: str) -> None:
    place = work.path / ".git/logs/refs/jellyml/keep" / commit
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(outside.path / "secret")


def a_branchs_reflog(work: Folder, outside: Outside, commit: str) -> None:
    place = work.path / ".git/logs/refs/heads" / f"jellyml-{commit[:8]}"
    place.symlink_to(outside.path / "secret")


def a_folder_of_refs(work: Folder, outside: Outside, commit: str) -> None:
    (outside.path / "branch").write_text(f"{commit}\n")
    (work.path / ".git/refs/jellyml/keep/sub").symlink_to(outside.path)


def a_worktree(work: Folder, outside: Outside, commit: str) -> None:
    (outside.path / "jellyml").write_text("0123456789abcdef\n")
    (work.path / ".git/worktrees").mkdir()
    (work.path / ".git/worktrees/x").symlink_to(outside.path)


@pytest.mark.parametrize("link", [a_reflog, a_branchs_reflog, a_folder_of_refs, a_worktree])
def test_a_link_deep_in_the_git_directory(
    work: Folder,
    outside: Outside,
    tmp_path: Path,
    link: Callable[[Folder, Outside, str], None],
) -> None:
    Workspace(work.path).undo()
    link(work, outside, work.git("rev-parse", "HEAD").decode().strip())
    outside.before = fingerprint.files(outside.path)
    shutil.rmtree(work.path / ".git/refs/jellyml/keep", ignore_errors=link is not a_folder_of_refs)
    if link is a_folder_of_refs:
        (work.path / ".git/refs/jellyml/keep").mkdir()
        link(work, outside, work.git("rev-parse", "HEAD").decode().strip())
    type_command("load", tmp_path / "model.jelly", "--dry-run", cwd=work.path)
    type_command("load", tmp_path / "model.jelly", cwd=work.path)
    type_command("history", "--prune", "--all", "-y", cwd=work.path)
    shutil.rmtree(work.path / ".git/jellyml", ignore_errors=True)
    type_command("load", tmp_path / "model.jelly", "--dry-run", cwd=work.path)


def test_a_token_that_is_a_path(work: Folder, outside: Outside) -> None:
    """By it JellyML's folder for a linked worktree is found."""
    for name in ("index.html", ".env", "trash/a", "stage/a"):
        (outside.path / name).parent.mkdir(exist_ok=True)
        (outside.path / name).write_text("the user's own\n")
    outside.before = fingerprint.files(outside.path)
    work.git("worktree", "add", "-q", "--detach", "../linked")
    (work.path / ".git/jellyml/worktrees/linked.x").mkdir(parents=True)
    token = work.path / ".git/worktrees/linked/jellyml"
    token.write_text("x/../../../../../outside")
    for word in GOING_BACK:
        type_command(word, cwd=work.path.with_name("linked"))


def test_a_decoy_that_git_passes_over(work: Folder, tmp_path: Path) -> None:
    place = Folder(work.path.with_name("came"))
    for name in ("objects", "refs"):
        (place.path / "code/.git" / name).mkdir(parents=True)
    place.write("code/.git/HEAD", "nonsense\n")
    place.write(".git", "gitdir: ../work/.git\n")
    before = fingerprint.files(work.path / ".git")
    said = type_command("load", tmp_path / "model.jelly", cwd=place.path / "code")
    assert said.status
    assert fingerprint.files(work.path / ".git") == before


@pytest.mark.parametrize(
    "name",
    [
        "HEAD.lock", "index.lock", "jellyml/main/ops/00000001.json", "jellyml/main/ops/past.json",
        "jellyml/main/token", "jellyml/store/config", "jellyml/store/packed-refs",
        "jellyml/store/objects/info/alternates", "jellyml/store/refs/states/main/1",
        "jellyml/records/1-1/plan.json", "sharedindex.x",
    ],
)  # fmt: skip
def test_a_pipe_in_place_of_a_file_is_not_waited_for(
    work: Folder, tmp_path: Path, name: str
) -> None:
    place = work.path / ".git" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    for words in (["history"], ["undo"], ["doctor"], ["load", str(tmp_path / "model.jelly")]):
        said = start_command(*words, cwd=work.path)
        assert said.status != 70, said
    assert jellyml.create_snapshot(work.path).filling


def test_records_that_nobody_wrote_do_not_stop_a_command(work: Folder, tmp_path: Path) -> None:
    place = work.path / ".git/jellyml/records/1-1"
    told: dict[str, object] = {
        "version": 1, "command": ["x"], "folders": [os.fsencode(work.path).hex()],
        "commit": None, "began": 0.0, "child": None, "ended": None, "before": [],
    }  # fmt: skip
    loop = work.path / "loop"
    loop.symlink_to(loop)
    odd: dict[str, object] = {
        "folders": [], "child": [1], "began": 10**400, "ended": 10**400, "command": 3,
    }  # fmt: skip
    plans = [told | {name: value} for name, value in odd.items()]
    plans += [told | {"folders": [os.fsencode(one).hex()]} for one in (loop, b"a\0b", "rel")]
    texts = [json.dumps(one) for one in plans] + ["[" * 100_000]
    for number, text in enumerate(texts):
        place.mkdir(parents=True, exist_ok=True)
        (place / "filling").touch()
        (place / "manifest").touch()
        (place / "plan.json").write_text(text)
        ran = tmp_path / f"ran{number}"
        assert start_command("record", "--", "touch", ran, cwd=work.path).status == 0, text[:80]
        assert ran.exists()
        for words in (["doctor"], ["record", "--resume"]):
            assert start_command(*words, cwd=work.path).status != 70, text[:80]


def test_numbers_and_names_that_are_odd(work: Folder, tmp_path: Path) -> None:
    """An entry of a very high number, a state that is none, a folder called .GIT."""
    ops = private(work) / "ops"
    entry = json.loads((ops / "00000001.json").read_bytes())
    (ops / "99999999.json").write_text(json.dumps(entry | {"number": 99_999_999}))
    states = private(work).parent / "store/refs/states/main"
    shutil.copy(states / "1", states / "abc")
    work.write("train.py", "print('mine')\n")
    (work.path / ".GIT").mkdir()
    work.write("d/.Git", "x").chmod(0o600)
    Workspace(work.path).load(tmp_path / "model.jelly")
    assert work.read("train.py") == b"print('loaded')\n"
    Workspace(work.path).undo()
    assert work.read("train.py") == b"print('mine')\n"
    assert (work.path / ".GIT").is_dir()
    for time_of in (9e15, -9e15, True):
        (ops / "99999999.json").write_text(
            json.dumps(entry | {"number": 99_999_999, "time": time_of})
        )
        assert type_command("history", cwd=work.path).status != 70


def test_the_found_state_stops_a_rollback_that_could_not_be_taken_back(
    work: Folder, outside: Outside
) -> None:
    there = side(work.write("mine.py", "of the user's\n"))
    forge(work, moves=[["mine.py", None, there]])
    (work.path / ".git/index").write_bytes(b"no index\n")
    for word in GOING_BACK:
        assert type_command(word, cwd=work.path).status
    assert (work.path / "mine.py").exists()


def test_git_starts_nothing_that_only_the_repository_names(work: Folder, outside: Outside) -> None:
    """``jellyml git``: also where a planted setting forbids what is forbidden anyway."""
    model = str(work.path / "../model.jelly")
    work.git("config", "tar.tgz.command", f"{outside.program} tar")
    work.git("config", "remote.origin.url", f"ext::{outside.program} x")
    work.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    for allow in (["protocol.allow", "never"], ["protocol.ext.allow", "always"]):
        work.git("config", *allow)
        start_command("git", model, "fetch", "origin", cwd=work.path)
        start_command(
            "git", model, "archive", "--format=tgz", "-o", "../o.tgz", "HEAD", cwd=work.path
        )
        assert not outside.ran()
