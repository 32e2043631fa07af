"""Corners of load and undo in which something of the user's could be lost or opened."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
import torch

import fingerprint
import jellyml
from conftest import Folder
from hostile import CASES
from jellyml.errors import BadSnapshot, JellyError, UnsafeToContinue
from jellyml.fs import atomic, move
from jellyml.fs.directory import Directory
from jellyml.snapshot import serialization
from jellyml.workspace import Workspace, operation_log, store_packs
from jellyml.workspace.operation_log import Journal
from jellyml.workspace.staging import by_slot, free_slot, path_of


def saved(folder: Folder, path: Path) -> Path:
    torch.save({**jellyml.create_snapshot(folder.path, strict=True)}, path)
    folder.git("reset", "-q", "--hard")
    folder.git("clean", "-fdq")
    return path


@pytest.fixture
def model(repo: Folder, tmp_path: Path) -> Path:
    repo.write("train.py", "of the model\n")
    return saved(repo, tmp_path / "model.pth")


@pytest.fixture
def linked(repo: Folder, tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "linked")
    repo.git("worktree", "add", "-q", "-b", "other", str(folder.path))
    return folder


def test_pruning_right_after_a_load_leaves_its_undo(repo: Folder, model: Path) -> None:
    repo.write("untracked.py", "nowhere else")
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    loaded = repo.git("rev-parse", "HEAD")

    Workspace(repo.path).prune(older_than=0)

    outcome = Workspace(repo.path).undo()
    assert outcome.warnings == ()  # the snapshot's commit is still known as one
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert repo.git("rev-parse", "HEAD") == loaded


@pytest.mark.parametrize("case", ["half a pack", "named b'.git'"])
def test_a_bad_snapshot_leaves_nothing_behind(repo: Folder, case: str, tmp_path: Path) -> None:
    """Whether it is good shows when the workspace is held already."""
    bundle = CASES[case].build()
    model = tmp_path / "bad.pth"
    commit = serialization.head_of(bundle)
    model.write_bytes(serialization.header(bundle, commit=commit) + bundle)
    before = fingerprint.workspace(repo)

    with pytest.raises(BadSnapshot):
        Workspace(repo.path).load(model)

    assert fingerprint.workspace(repo) == before
    assert not (repo.path / ".git/jellyml").exists()


def test_a_git_that_is_killed_in_the_first_load_leaves_no_lock(
    repo: Folder, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint.workspace(repo)
    git, shim = shutil.which("git"), tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(
        f'#!/bin/sh\ncase "$*" in "update-ref --stdin"*)\n'
        f"mkdir -p '{repo.path}/.git/refs/jellyml/keep'\n"
        f"touch '{repo.path}/.git/refs/jellyml/keep/half.lock'\nkill -9 $$ ;; esac\n"
        f"exec '{git}' \"$@\"\n"
    )
    shim.chmod(0o755)

    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
        with pytest.raises(JellyError):
            Workspace(repo.path).load(model)

    assert fingerprint.workspace(repo) == before
    assert not (repo.path / ".git/jellyml").exists()
    assert not (repo.path / ".git/refs/jellyml").exists()


def test_pruning_here_leaves_the_states_of_other_worktrees(
    repo: Folder, linked: Folder, model: Path
) -> None:
    linked.write("untracked.py", "nowhere else")
    before = fingerprint.workspace(linked)
    Workspace(linked.path).load(model)
    Workspace(repo.path).load(model)

    Workspace(repo.path).prune(older_than=0)

    Workspace(linked.path).undo()
    assert fingerprint.files(linked.path) == before["files"]
    numbers = {entry.number for entry in Workspace(repo.path).history()}
    assert len(numbers) == 1


def test_what_lies_aside_in_another_worktree_is_not_pruned(
    repo: Folder, linked: Folder, tmp_path: Path
) -> None:
    repo.write("out.log", "of the model")
    repo.git("add", "-f", "out.log")
    model = saved(repo, tmp_path / "model.pth")
    linked.write("out.log", "precious, ignored")
    Workspace(linked.path).load(model)
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()

    with pytest.raises(JellyError, match="set aside"):
        Workspace(repo.path).prune(everything=True)

    Workspace(linked.path).undo()
    assert linked.read("out.log") == b"precious, ignored"
    Workspace(repo.path).prune(everything=True)


def test_what_was_rescued_is_not_pruned(repo: Folder, model: Path) -> None:
    Workspace(repo.path).load(model)
    rescued = repo.path / ".git/jellyml/main/rescue/00000001/train.py"
    rescued.parent.mkdir(parents=True)
    rescued.write_text("typed meanwhile")
    with pytest.raises(JellyError, match=r"saved at .*train\.py"):
        Workspace(repo.path).prune(everything=True)
    assert rescued.read_text() == "typed meanwhile"


@pytest.mark.parametrize("in_store", [True, False])
def test_a_large_file_comes_back_whether_lfs_has_it_or_not(
    repo: Folder, tmp_path: Path, in_store: bool
) -> None:
    content = os.urandom(5000)
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5000\n"
    repo.write(".gitattributes", "*.w filter=lfs\n")
    repo.write("big.w", pointer)
    repo.commit("large")
    kept = repo.write(f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", content)
    repo.write("big.w", "small now\n")
    with pytest.warns(jellyml.JellyWarning, match="filter was not run"):
        model = saved(repo, tmp_path / "model.pth")
    repo.git("config", "filter.lfs.clean", f"printf '%s' '{pointer}'")
    repo.write("big.w", content)
    os.utime(repo.path / "big.w", (1_700_000_000, 1_700_000_000))
    repo.git("add", "big.w")
    assert repo.git("status", "--porcelain") == b""
    if not in_store:
        kept.unlink()
    before = fingerprint.files(repo.path)

    Workspace(repo.path).load(model)
    assert repo.read("big.w") == b"small now\n"
    Workspace(repo.path).undo()

    assert fingerprint.files(repo.path) == before


def test_nothing_is_changed_behind_a_link(repo: Folder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "sub").chmod(0o700)
    repo.write("d/sub/x.py", "1")
    model = saved(repo, tmp_path / "model.pth")
    (repo.path / "d").symlink_to(outside)
    repo.commit("a link")

    Workspace(repo.path).load(model)
    (repo.path / "d/sub").chmod(0o750)
    Workspace(repo.path).undo()

    assert (outside / "sub").stat().st_mode & 0o777 == 0o700
    assert (repo.path / "d").is_symlink()


def test_a_private_file_stays_private(repo: Folder, tmp_path: Path) -> None:
    repo.write(".gitignore", "*.log\ndata/\n*.key\nsec/\n")
    model = saved(repo, tmp_path / "model.pth")
    Workspace(repo.path).load(model)
    repo.write("my.key", "secret").chmod(0o600)
    repo.write("sec/k", "secret").chmod(0o600)
    (repo.path / "sec").chmod(0o700)
    private = fingerprint.files(repo.path)

    Workspace(repo.path).undo()
    Workspace(repo.path).redo()

    assert fingerprint.files(repo.path) == private


@pytest.mark.parametrize("inside", ["ignored file", "nested repository", "pipe"])
def test_a_folder_set_aside_comes_back_whole(repo: Folder, tmp_path: Path, inside: str) -> None:
    repo.write("d", "a file where a folder was")
    model = saved(repo, tmp_path / "model.pth")
    folder = Folder(repo.path / "d")
    folder.write("tracked.py", "1")
    repo.commit("a folder")
    if inside == "ignored file":
        folder.write("y.log", "mine")
    elif inside == "pipe":
        os.mkfifo(folder.path / "pipe")
    else:
        nested = Folder(folder.path / "nest")
        nested.path.mkdir()
        nested.git("init", "-q")
        nested.write("inner.py", "1")
        nested.commit()
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert repo.read("d") == b"a file where a folder was"
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert repo.read("d") == b"a file where a folder was"
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_what_once_was_left_lying_and_is_gone_does_not_come_back_as_another(
    repo: Folder, model: Path, tmp_path: Path
) -> None:
    repo.write("x.log", "of another model")
    repo.git("add", "-f", "x.log")
    other = saved(repo, tmp_path / "other.pth")
    repo.write("x.log", "mine")
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    (repo.path / "x.log").unlink()
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(other)
    assert repo.read("x.log") == b"of another model"
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_numbers_are_never_given_twice(repo: Folder, model: Path) -> None:
    for _ in range(3):
        Workspace(repo.path).load(model)
        repo.write("train.py", f"edit {_}")
    Workspace(repo.path).undo()
    Workspace(repo.path).undo()
    seen = {entry.number for entry in Workspace(repo.path).history()}
    Workspace(repo.path).prune(older_than=0)
    left = {entry.number for entry in Workspace(repo.path).history()}
    now = fingerprint.workspace(repo)

    repo.write("fresh.py", "an edit")
    assert Workspace(repo.path).redo().warnings == ("There is nothing to redo.",)
    Workspace(repo.path).load(model)
    new = {entry.number for entry in Workspace(repo.path).history()} - left

    assert min(new) > max(seen)
    Workspace(repo.path).undo()
    (repo.path / "fresh.py").unlink()
    assert fingerprint.files(repo.path) == now["files"]
    shutil.rmtree(repo.path)


def checkpoint_folder(folder: Path, step: str) -> dict[str, bytes]:
    """Of files so small that none would be taken for a checkpoint."""
    (folder / "shards").mkdir(parents=True)
    (folder / "config.json").write_text(step)
    (folder / "shards" / "rank_0.pt").write_bytes(b"weights")
    jellyml.fill(folder)
    return fingerprint_of(folder)


def fingerprint_of(folder: Path) -> dict[str, bytes]:
    return {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_folders_that_carry_code_stay_whole(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is loaded, and those beside it, of which the snapshot knows nothing."""
    monkeypatch.chdir(repo.path)
    repo.write("train.py", "as it trained\n")
    one = repo.path / "out" / "checkpoint-1"
    first = checkpoint_folder(one, "1")
    second = checkpoint_folder(repo.path / "out" / "checkpoint-2", "2")
    repo.write("train.py", "later\n")
    repo.write("notes.txt", "of no checkpoint")
    before = fingerprint.workspace(repo)

    outcome = Workspace(repo.path).load(one)

    assert {change.path for change in outcome.changes} == {"train.py", "notes.txt"}
    assert fingerprint_of(repo.path / "out") == first | second
    assert not any("changed" in warning for warning in outcome.warnings)
    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    repo.git("add", "out/checkpoint-2/config.json")
    Workspace(repo.path).undo()
    assert fingerprint_of(repo.path / "out") == first | second


def test_a_folder_whose_code_lies_in_a_file_stays_whole(
    repo: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what git knows in it: that is code."""
    monkeypatch.chdir(repo.path)
    repo.write("out/train.py", "as it trained\n")
    repo.git("add", "out")
    repo.git("commit", "-qm", "code in the folder")
    repo.write("out/config.json", "of an earlier run")
    snapshot = jellyml.create_snapshot()
    torch.save(dict(snapshot), repo.path / "out" / "0.pt")
    repo.write("out/config.json", "of this run")
    repo.write("out/train.py", "later\n")

    outcome = Workspace(repo.path).load("out")

    assert [change.path for change in outcome.changes] == ["out/train.py"]
    assert repo.read("out/train.py") == b"as it trained\n"
    assert repo.read("out/config.json") == b"of this run"
    assert (repo.path / "out" / "0.pt").exists()
    (said,) = outcome.warnings
    assert "out/config.json was left as it is" in said
    Workspace(repo.path).undo()
    assert repo.read("out/train.py") == b"later\n"
    assert repo.read("out/config.json") == b"of this run"


def test_what_lies_there_as_it_is_to_be_is_nothing_that_was_typed(
    repo: Folder, tmp_path: Path
) -> None:
    repo.write("data.txt", "numbers")
    repo.git("add", "data.txt")
    model = saved(repo, tmp_path / "model.pth")
    repo.write(".gitignore", "data.txt\n")
    repo.write("data.txt", "numbers")

    assert not Workspace(repo.path).load(model).warnings


def test_what_comes_out_as_it_lies_there_is_nothing_that_was_typed(
    repo: Folder, tmp_path: Path
) -> None:
    repo.write(".gitattributes", "*.txt text eol=crlf\n")
    repo.write("data.txt", "one\r\n")
    repo.git("add", "-A")
    model = saved(repo, tmp_path / "model.pth")
    repo.write("data.txt", "one\r\n")  # another blob, where there is no rule

    assert not Workspace(repo.path).load(model).warnings
    assert repo.read("data.txt") == b"one\r\n"
    assert repo.git("status", "--porcelain") == b""


def test_refs_of_ours_that_somebody_packed(repo: Folder, model: Path) -> None:
    repo.write("untracked.py", "nowhere else")
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    store = repo.path / ".git/jellyml/store"
    repo.git("--git-dir", str(store), "pack-refs", "--all")
    assert not [path for path in (store / "refs").rglob("*") if path.is_file()]

    Workspace(repo.path).undo()
    assert fingerprint.workspace(repo) == before
    Workspace(repo.path).redo()
    assert [entry.number for entry in Workspace(repo.path).history()] == [2, 1]
    assert Workspace(repo.path).undo().warnings == ()  # the snapshot is still known as one
    assert fingerprint.workspace(repo) == before


def test_what_a_killed_command_left_beside_our_refs(repo: Folder, model: Path) -> None:
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    states = repo.path / ".git/jellyml/store/refs/states/main"
    elsewhere = ".jellyml-0badcafe-1-2"  # on another machine, or in another container
    left = [states / f"{atomic.BESIDE}1-2", states / elsewhere, states / "3.lock"]
    for one in left:
        one.write_text("half of a")

    assert [entry.number for entry in Workspace(repo.path).history()] == [1]
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before
    assert not any(map(os.path.lexists, left))


def test_a_system_that_cannot_swap_or_rename_to_a_free_place(
    repo: Folder, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "libc", lambda: None)
    repo.write("lib/new.py", "nowhere else")
    (repo.path / "train.py").unlink()
    before = fingerprint.workspace(repo)

    Workspace(repo.path).load(model)
    assert repo.read("train.py") == b"of the model\n"
    Workspace(repo.path).undo()

    assert fingerprint.workspace(repo) == before


def test_a_free_place_is_not_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for libc in (atomic.libc(), None):
        monkeypatch.setattr(atomic, "libc", lambda found=libc: found)
        staged, place = tmp_path / "staged", tmp_path / "place"
        staged.write_text("ours")
        place.write_text("theirs")
        here = Directory.open(tmp_path)
        entries = here.entry("staged"), here.entry("place")
        assert not move.put_new(*entries)
        assert (staged.read_text(), place.read_text()) == ("ours", "theirs")
        place.unlink()
        assert move.put_new(*entries)
        assert place.read_text() == "ours"
        assert not staged.exists()


def test_slots_tell_whose_they_are(tmp_path: Path) -> None:
    paths = [b"train.py", b"lib/net.py", b"odd \xff"]
    taken = {path: free_slot(tmp_path, path) for path in paths}
    assert len(set(taken.values())) == len(paths)
    slots = by_slot(paths)
    for path, place in taken.items():
        place.write_text("once")
        again = free_slot(tmp_path, path)
        assert again not in taken.values()
        for one in (place, again):
            assert path_of(one.relative_to(tmp_path), slots) == path
            below = one.relative_to(tmp_path) / "a" / "b"
            assert path_of(below, slots) == path + b"/a/b"
    assert path_of(Path("of nobody"), slots) == b"of nobody"


def test_many_packs_become_one_and_nothing_is_lost(
    repo: Folder, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packs, "_MANY", 8)
    repo.write("untracked.py", "nowhere else")
    repo.write("staged.py", "in no commit")
    repo.git("add", "staged.py")
    store = repo.path / ".git/jellyml/store/objects/pack"
    store.mkdir(parents=True)
    (store / "pack-of-one-that-was-killed.pack").touch()
    seen = []
    for number in range(12):
        repo.write("train.py", f"edit {number}\n")
        seen.append(fingerprint.workspace(repo))
        Workspace(repo.path).load(model)
        Workspace(repo.path).undo()
        assert len(list(store.glob("*.pack"))) <= 8
    repo.git("gc", "-q", "--prune=now")

    loads = [entry for entry in Workspace(repo.path).history() if entry.verb == "load"]
    for entry, before in zip(reversed(loads), seen, strict=True):
        Workspace(repo.path).restore(entry.number)
        assert fingerprint.workspace(repo) == before


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_putting_packs_together_walks_no_history(
    folder: Folder, object_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_packs, "_MANY", 8)
    folder.git("init", "-q", f"--object-format={object_format}")
    folder.write("train.py", "first\n")
    first = folder.commit()
    folder.write("train.py", "second\n")
    folder.commit()
    folder.write("train.py", "of the model\n")
    model = saved(folder, tmp_path / "model.pth")
    Workspace(folder.path).load(model)  # its commit, in the store, grows from the second
    Workspace(folder.path).undo()
    old = folder.path / ".git/objects" / first[:2] / first[2:]
    old.rename(tmp_path / "old")
    old.write_bytes(b"who walks there stumbles")

    store = folder.path / ".git/jellyml/store"
    numbers = []
    for number in range(9):
        folder.write("new.py", f"nowhere else {number}\n")
        Workspace(folder.path).restore(1)
        numbers.append(len(list((store / "objects/pack").glob("*.pack"))))
    assert max(numbers) <= 8
    assert numbers != sorted(numbers)
    (tmp_path / "old").replace(old)
    for entry in Workspace(folder.path).history():
        Workspace(folder.path).restore(entry.number)


@pytest.fixture
def folded(repo: Folder, model: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """The journal of a repository with a load that can be undone, and old entries in one file."""
    monkeypatch.setattr(operation_log, "_MANY", 4)
    for number in range(4):
        repo.write("train.py", f"edit {number}\n")
        Workspace(repo.path).load(model)
        if number < 3:
            Workspace(repo.path).undo()
    found = Journal(repo.path / ".git/jellyml/main/ops")
    assert (found.folder / "past.json").exists()
    assert len(list(found.folder.glob("0*.json"))) < 5
    return found


def test_old_entries_in_one_file_count_like_the_others(repo: Folder, folded: Journal) -> None:
    assert [one.number for one in folded.operations()] == [1, 2, 3, 4, 5, 6, 7]
    undo = ["edit 3\n", "of the model\n"]
    for _ in range(2):
        Workspace(repo.path).undo()
        assert repo.read("train.py").decode() == undo[0]
        Workspace(repo.path).redo()
        assert repo.read("train.py").decode() == undo[1]
    first = Workspace(repo.path).history()[-1]
    Workspace(repo.path).restore(first.number)
    assert repo.read("train.py") == b"edit 0\n"


def test_a_kill_while_entries_are_put_together(repo: Folder, folded: Journal) -> None:
    """They are in both: what is new counts."""
    for one in folded.operations():
        if not (folded.folder / f"{one.number:08}.json").exists():
            folded.write(one)
    again = Journal(folded.folder)
    assert again.operations() == folded.operations()
    Workspace(repo.path).undo()
    assert repo.read("train.py") == b"edit 3\n"
    assert [one.number for one in Journal(folded.folder).operations()] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_pruning_takes_old_entries_too(repo: Folder, folded: Journal) -> None:
    Workspace(repo.path).prune(older_than=0)
    assert len(Journal(folded.folder).operations()) <= 2
    assert not (folded.folder / "past.json").exists()
    Workspace(repo.path).undo()
    assert repo.read("train.py") == b"edit 3\n"


@pytest.mark.parametrize("content", [b"", b"[{1", b"[[]]", b"1"])
def test_old_entries_that_cannot_be_read_are_said(
    repo: Folder, folded: Journal, content: bytes
) -> None:
    (folded.folder / "past.json").write_bytes(content)
    with pytest.raises(UnsafeToContinue, match=r"past\.json cannot be read"):
        Workspace(repo.path).undo()
    assert repo.read("train.py") == b"of the model\n"


def test_what_a_killed_command_left_beside_files_of_gits(repo: Folder, model: Path) -> None:
    repo.git("switch", "-q", "-c", "side")
    repo.write("train.py", "on the side\n")
    repo.commit("side")
    repo.git("switch", "-q", "main")
    repo.write("train.py", "on main\n")
    repo.commit("main")
    repo.git("rebase", "side", check=False)
    before = fingerprint.workspace(repo)
    Workspace(repo.path).load(model)
    Workspace(repo.path).undo()
    left = [repo.path / ".git" / name / f"{atomic.BESIDE}1-2" for name in ("", "rebase-merge")]
    for one in left:
        one.write_text("half of a file")

    assert Workspace(repo.path).doctor() == []

    assert not any(map(os.path.lexists, left))
    assert fingerprint.workspace(repo) == before
