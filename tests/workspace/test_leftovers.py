"""What is left when a command was killed, and where one can only look."""

import errno
import importlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import jellyml
from conftest import Folder
from faults import SOURCE
from jellyml.errors import JellyError, UnsafeToContinue
from jellyml.fs import atomic, locks, tempdirs
from jellyml.workspace import Workspace, gitdir
from jellyml.workspace.operation_log import Journal
from nobody import as_nobody
from workspaces import differing, rich, seen

_HOLD = """
import sys, time
from jellyml.fs import tempdirs as throwaway
with throwaway.folder() as place:
    (place / "large").write_bytes(b"x" * 1000)
    print(place, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setenv("TMPDIR", str(place))
    return place


@pytest.fixture
def holder(temporary: Path) -> "Iterator[subprocess.Popen[str]]":
    """A process with such a folder of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="nothing is swept there")
def test_what_a_killed_process_left_is_swept_and_nothing_else(
    repo: Folder, temporary: Path, holder: "subprocess.Popen[str]"
) -> None:
    assert holder.stdout
    left = Path(holder.stdout.readline().strip())
    theirs = [temporary / "jellyml-of-somebody", temporary / "jellyml-open", temporary / "other"]
    for one in theirs:
        one.mkdir(mode=0o700)
        (one / "kept").touch()
    (temporary / "jellyml-open" / tempdirs.ALIVE).touch()
    (temporary / "jellyml-open").chmod(0o755)

    jellyml.create_snapshot(repo.path, strict=True)
    assert left.is_dir()  # its process lives

    holder.kill()
    holder.wait()
    repo.write("train.py", "edited, so that it is captured anew\n")
    jellyml.create_snapshot(repo.path, strict=True)
    assert not left.exists()
    assert sorted(temporary.iterdir()) == sorted(theirs)
    assert all((one / "kept").exists() for one in theirs)


def test_a_folder_of_another_user_is_not_touched(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = temporary / "jellyml-theirs"
    place.mkdir(mode=0o700)
    (place / tempdirs.ALIVE).touch()
    monkeypatch.setattr(os, "getuid", lambda: 123456)
    tempdirs.sweep()
    assert place.exists()
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    tempdirs.sweep()
    assert not place.exists()


@pytest.mark.skipif(os.name == "nt", reason="nothing is swept there")
def test_one_killed_while_it_removes_its_folder_leaves_one_that_is_swept(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    made = list[Path]()

    def leave() -> None:
        with tempdirs.folder() as place:
            made.append(place)
            (place / "objects").mkdir()

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "remove_tree", killed)
        with pytest.raises(KeyboardInterrupt):
            leave()
    (place,) = made
    assert place.exists()
    tempdirs.sweep()
    assert not place.exists()


@pytest.mark.skipif(os.name == "nt", reason="nothing is swept there")
def test_what_another_machine_holds_is_not_swept(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock may not be seen here."""
    place = temporary / "jellyml-elsewhere"
    place.mkdir(mode=0o700)
    (place / "alive-another-machine").touch()
    tempdirs.sweep()
    assert place.exists()


@pytest.mark.skipif(os.name == "nt", reason="locks are others there")
def test_temporary_folders_where_there_are_no_locks(
    repo: Folder, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    snapshot = jellyml.create_snapshot(repo.path, strict=True)
    assert list(temporary.iterdir()) == []
    model = repo.path.parent / "model.pth"
    model.write_bytes(snapshot.filling)
    before = seen(repo.path)
    with pytest.raises(UnsafeToContinue, match="has no locks"):
        Workspace(repo.path).load(model)
    assert not differing(before, seen(repo.path), exact=True)


@pytest.fixture
def model(folder: Folder, tmp_path: Path) -> Path:
    rich(folder, tmp_path / "model.pth")
    return tmp_path / "model.pth"


@pytest.fixture
def read_only(folder: Folder) -> Iterator[Path]:
    """The workspace on a medium that cannot be written, where this user may mount one."""

    def mount(*words: str) -> bool:
        return not subprocess.run(["mount", *words], capture_output=True).returncode

    place, mounted = str(folder.path), list[str]()

    def lock() -> None:
        if not (shutil.which("mount") and mount("--bind", place, place)):
            pytest.skip("this user may not mount")
        mounted.append(place)
        assert mount("-o", "remount,bind,ro", place)

    folder.lock = lock  # type: ignore[attr-defined]
    yield folder.path
    for one in mounted:  # Path.is_mount does not see a folder that is mounted on itself
        subprocess.run(["umount", "--lazy", one], check=True)


def test_history_and_doctor_read_where_nothing_can_be_written(
    folder: Folder, model: Path, read_only: Path
) -> None:
    workspace = Workspace(folder.path)
    workspace.load(model)
    listed = workspace.history()
    folder.lock()  # type: ignore[attr-defined]

    assert workspace.history() == listed
    assert workspace.repair() is None
    assert all(finding.expected for finding in workspace.doctor())
    with pytest.raises((JellyError, OSError)):
        workspace.undo()


def test_what_is_to_be_rolled_back_is_said_where_nothing_can_be_written(
    folder: Folder, model: Path, read_only: Path
) -> None:
    workspace = Workspace(folder.path)
    workspace.load(model)
    journal = Journal(workspace.folder)
    last = journal.operations()[-1]
    journal.write(last.__class__(last.number + 1, "undo", time=time.time(), before=1))
    folder.lock()  # type: ignore[attr-defined]

    repaired = workspace.repair()
    assert repaired
    assert "is rolled back once" in repaired.warnings[0]
    assert any("was interrupted" in finding.problem for finding in workspace.doctor())
    assert len(workspace.history()) == 1


def test_pruning_all_leaves_packed_refs_and_their_lock_alone(folder: Folder, model: Path) -> None:
    workspace = Workspace(folder.path)
    workspace.load(model)
    workspace.undo()
    folder.git("pack-refs", "--all")
    packed = folder.read(".git/packed-refs")
    assert b"refs/jellyml/keep/" in packed
    lock = folder.write(".git/packed-refs.lock", "somebody else's")

    with pytest.raises(JellyError, match=r"packed-refs\.lock"):
        workspace.prune(everything=True)
    assert workspace.history()
    lock.unlink()
    workspace.prune(everything=True)

    left = [line for line in packed.splitlines() if b"refs/jellyml/" not in line]
    assert folder.read(".git/packed-refs").splitlines() == left
    assert not list((folder.path / ".git").glob("jellyml*"))
    assert not (folder.path / ".git/refs/jellyml").exists()


def test_a_folder_that_cannot_be_opened_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    (folder / "inner").mkdir(parents=True)
    real, failed = os.open, list[str]()

    def once(path: str, *rest: object, **named: object) -> int:
        if not failed and "gone" in str(path):
            failed.append(path)
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", once)
    atomic.remove_tree(folder)
    assert failed
    assert not folder.exists()


@pytest.mark.parametrize("call", ["rmdir", "unlink", "open"])
def test_what_a_removed_folder_lies_in_keeps_its_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Two that remove one folder at once: the second finds nothing, and that is no reason."""
    folder = tmp_path / "around" / "gone"
    (folder / "inner").mkdir(parents=True)
    (folder / "file").write_text("")
    folder.parent.chmod(0o755)

    def failing(path: str, *_: object, **named: object) -> int:
        raise FileNotFoundError(2, "No such file or directory", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        atomic.remove_tree(folder)
    assert folder.parent.stat().st_mode & 0o777 == 0o755


def removed(folder: Path) -> str:
    atomic.remove_tree(folder)
    return ""


def test_a_removed_file_that_has_another_name_keeps_its_mode(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("")
    kept.chmod(0o644)
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone/link").hardlink_to(kept)
    (tmp_path / "gone").chmod(0o500)
    as_nobody((tmp_path,), lambda: removed(tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()
    assert kept.stat().st_mode & 0o777 == 0o644


def test_closed_folders_in_closed_folders_are_removed(tmp_path: Path) -> None:
    inner = tmp_path / "gone/closed/inner"
    inner.mkdir(parents=True)
    (inner / "file").write_text("")
    for folder in (inner, inner.parent, inner.parent.parent):
        folder.chmod(0)
    as_nobody((tmp_path,), lambda: removed(tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()


def test_a_lock_that_was_removed_while_waiting_is_taken_anew(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    taken, over = threading.Event(), threading.Event()

    def wait() -> None:
        with locks.locked(base / "lock", wait=20):
            taken.set()
            over.wait(20)

    waiter = threading.Thread(target=wait)
    with locks.locked(base / "lock", wait=0):
        waiter.start()
        time.sleep(0.2)
        base.rename(tmp_path / "removed")
    assert taken.wait(20)
    with locks.locked(base / "lock", wait=0) as another:
        assert not another
    over.set()
    waiter.join()


_KILLED_INIT = """#!/bin/sh
for word; do
  if [ "$word" = init ]; then
    "$REAL_GIT" "$@"; rm .git/HEAD; : > .git/config.lock; kill -9 $PPID; exit 1
  fi
done
exec "$REAL_GIT" "$@"
"""


@pytest.mark.skipif(os.name == "nt", reason="the git that kills is a shell script")
def test_a_load_killed_while_git_makes_the_repository_can_be_given_again(
    folder: Folder, model: Path, tmp_path: Path
) -> None:
    place, shims = Folder(tmp_path / "elsewhere"), tmp_path / "bin"
    place.write("notes.txt", "the user's")
    shims.mkdir()
    (shims / "git").write_text(_KILLED_INIT)
    (shims / "git").chmod(0o755)
    path = f"{shims}{os.pathsep}{os.environ['PATH']}"
    killed = subprocess.run(
        [sys.executable, "-m", "jellyml", "load", str(model)],
        cwd=place.path,
        env=os.environ
        | {"PYTHONPATH": str(SOURCE), "PATH": path, "REAL_GIT": shutil.which("git") or ""},
        capture_output=True,
    )
    assert killed.returncode == -9

    Workspace(place.path).load(model)
    assert place.read("train.py") == b"print('loaded')\n"
    assert place.read("notes.txt") == b"the user's"
    assert not (place.path / ".jellyml-new").exists()


@pytest.mark.parametrize(
    "where",
    ["jellyml.working_tree.exclude.is_checkpoint", "jellyml.working_tree.contents.bytes_on_disk"],
)
def test_a_disk_that_fails_stops_a_load(
    folder: Folder, model: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = seen(folder.path)
    module, _, name = where.rpartition(".")
    real = getattr(importlib.import_module(module), name)

    def failing(*args: object, **named: object) -> object:
        if any("private.txt" in str(one) for one in args):
            raise OSError(5, "Input/output error")
        return real(*args, **named)

    monkeypatch.setattr(where, failing)
    with pytest.raises(JellyError, match=r"private\.txt cannot be read"):
        Workspace(folder.path).load(model)
    assert not differing(before, seen(folder.path), exact=True)


@pytest.mark.skipif(os.name == "nt", reason="there is no fork")
def test_what_was_typed_between_a_kill_and_its_recovery_is_named_where_it_lies_aside(
    folder: Folder, model: Path
) -> None:
    """An undo had brought it back when it was killed; taken back, the undo sets it aside again."""
    Workspace(folder.path).load(model)
    child = os.fork()
    if not child:
        gitdir.move_head = lambda *_: os._exit(9)
        Workspace(folder.path).undo()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert folder.read("cache/a.bin") == b"ignored, and in the way\n"
    folder.write("cache/a.bin", "typed after the kill")

    outcome = Workspace(folder.path).repair()

    assert outcome
    (place,) = folder.path.glob(".git/jellyml/main/aside/*/0000")
    assert place.read_bytes() == b"typed after the kill"
    assert any(str(place) in warning for warning in outcome.warnings)
    Workspace(folder.path).undo()
    assert folder.read("cache/a.bin") == b"typed after the kill"
