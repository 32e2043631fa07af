"""Capture: its limits, its faults, its history, and any working tree there is."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jellyml
import nobody
from captures import kept, taken, unpacked, untouched, walked
from conftest import Folder
from jellyml.capture import bundle
from jellyml.capture.capture import Options, capture
from jellyml.capture.history_limits import HistoryLimits
from jellyml.errors import (
    ForeignRepository,
    GitError,
    JellyError,
    JellyWarning,
    NotARepository,
    UsageError,
)
from jellyml.snapshot import Snapshot, manifest, serialization

TORTURE = float(os.environ.get("TORTURE", "1"))
GIT = subprocess.run(["which", "git"], check=True, capture_output=True).stdout.decode().strip()


@pytest.fixture(autouse=True)
def in_other_processes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(jellyml.__file__).parents[1]))


def code_of(snapshot: Snapshot) -> dict[str, object]:
    code = serialization.parse_manifest(snapshot.manifest)["code"]
    assert isinstance(code, dict)
    return code


# Any working tree

_PART = st.one_of(
    st.sampled_from(
        [b"a", b"b", b"A", b" a", b"a ", b'"', b"a\n", b"\\", b"-a", b":(top)", b"\xff"]
    ),
    st.binary(min_size=1, max_size=6).filter(lambda name: not {0, 47} & set(name)),
).filter(lambda name: name.lower() not in (b".", b"..", b".git", b"git~1", b".gitignore"))
_PATH = st.lists(_PART, min_size=1, max_size=3).map(b"/".join)
_ACT = st.sampled_from(
    ["write", "write", "program", "link", "remove", "stage", "unstage", "commit"]
)
_TEXT = st.sampled_from([b"", b"1", b"one\n", b"one\r\n", b"\0\r\n", b"$Id$\n", b"two\n" * 50])


def act(repo: Folder, what: str, path: bytes, text: bytes) -> None:
    literal = ("--literal-pathspecs",)
    if what == "stage":
        repo.git(*literal, "add", "-f", "--", path, check=False)
    elif what == "unstage":
        repo.git(*literal, "rm", "-q", "--cached", "-f", "--", path, check=False)
    elif what == "commit":
        repo.git("commit", "-q", "--allow-empty", "-m", "c")
    else:
        with suppress(FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
            put(repo.path / os.fsdecode(path), what, text)


def put(place: Path, what: str, text: bytes) -> None:
    if what in ("remove", "link") or place.is_symlink():
        place.unlink(missing_ok=what != "remove")
    if what == "remove":
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if what == "link":
        place.symlink_to(os.fsdecode(text.strip(b"\0") or b"x"))
    else:
        place.write_bytes(text)
        place.chmod(0o755 if what == "program" else 0o644)


@settings(
    max_examples=round(20 * max(1, TORTURE)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.tuples(_ACT, _PATH, _TEXT), max_size=20))
def test_any_working_tree(acts: list[tuple[str, bytes, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        repo = Folder(Path(name, "work"))
        repo.path.mkdir()
        repo.git("init", "-q")
        repo.write(".gitignore", "A\n")
        for what, path, text in acts:
            act(repo, what, path, text)
        expected = kept(repo)
        with untouched(repo.path):
            one = capture(repo.path, Options(), None)
            two = capture(repo.path, Options(), None)
        assert one == two
        # A load would refuse these, so they are named instead.
        left = {os.fsencode(row.path) for row in one.facts.left_out if row.reason == "name"}
        assert all(b"\\" in path or b":" in path for path in left)
        held = {path: found for path, found in expected.items() if path not in left}
        assert unpacked(one.filling, Path(name, "unpacked")) == held


# What it costs the commit


def test_a_clean_tree_is_head_itself(repo: Folder) -> None:
    assert taken(repo.path).commit == repo.git("rev-parse", "HEAD").decode().strip()


def test_an_index_that_differs_from_a_clean_disk_is_still_head(repo: Folder) -> None:
    repo.write("train.py", "staged")
    repo.git("add", "train.py")
    repo.write("train.py", "print('two')\n")
    repo.git("update-index", "--assume-unchanged", "lib/net.py")
    assert taken(repo.path).commit == repo.git("rev-parse", "HEAD").decode().strip()


def test_the_same_code_is_the_same_commit_and_bytes_anywhere(repo: Folder, tmp_path: Path) -> None:
    repo.write("train.py", "edited")
    repo.write("new.py", "1")
    other = Folder(tmp_path / "copy")
    subprocess.run(["cp", "-a", repo.path, other.path], check=True)
    other.git("add", "-A")
    os.utime(other.path / "new.py")
    one, two = (capture(folder.path, Options(), None) for folder in (repo, other))
    assert one.facts.commit == two.facts.commit
    assert one.filling == two.filling
    text = unpacked_commit(one.filling, tmp_path)
    parent = repo.git("rev-parse", "HEAD")
    date = repo.git("log", "-1", "--format=%ct").strip()
    who = b"JellyML <jellyml@localhost> " + date + b" +0000\n"
    assert text.partition(b"\n")[2] == (
        b"parent " + parent + b"author " + who + b"committer " + who + b"\nJellyML snapshot\n"
    )


def test_the_same_code_is_the_same_commit_after_gc(repo: Folder) -> None:
    """Its pack may be another one: git takes over deltas that it finds, and finds others then."""
    for number in range(20):
        repo.write("lib/net.py", "width = 8\n" * 200 + f"depth = {number}\n")
        repo.commit("more")
    repo.write("train.py", "edited")
    before = capture(repo.path, Options(), None)
    repo.git("gc", "-q", "--aggressive", "--prune=now")
    after = capture(repo.path, Options(), None)
    assert after.filling != before.filling
    assert after.facts.commit == before.facts.commit


def unpacked_commit(data: bytes, tmp_path: Path) -> bytes:
    unpacked(data, tmp_path / "of commit")
    clone = Folder(tmp_path / "of commit/clone")
    return clone.git("cat-file", "commit", "HEAD")


def test_dates_that_are_none(repo: Folder) -> None:
    tree = repo.git("rev-parse", "HEAD^{tree}")
    text = b"tree " + tree + b"author A <a> -5 +0000\ncommitter A <a> 99999999999999999999 +x\n\nm"
    oid = repo.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=text)
    repo.git("update-ref", "--no-deref", "HEAD", oid.strip())
    repo.write("train.py", "edited")
    assert taken(repo.path).filling
    assert taken(repo.path, history=1).filling


# History


@pytest.fixture
def merged(repo: Folder) -> Folder:
    """Fourteen commits with a merge among them, and an edit on top."""
    repo.git("switch", "-q", "-c", "side")
    for number in range(5):
        repo.write("side.py", str(number))
        repo.commit(f"side {number}")
    repo.git("switch", "-q", "main")
    for number in range(4):
        repo.write("train.py", str(number))
        repo.commit(f"main {number}")
    repo.git("merge", "-q", "--no-ff", "-m", "merged", "side")
    repo.write("later.py", "1")
    repo.commit("later")
    repo.write("later.py", "2")
    return repo


@pytest.mark.parametrize("keep", ["none", 0, 1, 2, 5, 8, 1000])
@pytest.mark.parametrize("dirty", [True, False])
def test_a_history_that_is_cut(
    keep: bundle.History, dirty: bool, merged: Folder, tmp_path: Path
) -> None:
    if not dirty:
        merged.git("checkout", "-q", ".")
    full = taken(merged.path, history="full")
    snapshot = taken(merged.path, history=keep)
    found = unpacked(snapshot.filling, tmp_path / "unpacked")
    assert found == kept(merged)
    head = serialization.parse_header(snapshot.filling[:1024])
    assert snapshot.commit == full.commit == (head.stands_for or head.commit)
    clone = Folder(tmp_path / "unpacked/clone")
    count = int(clone.git("rev-list", "--count", "HEAD"))
    assert count == (13 + dirty if keep == 1000 else (0 if keep == "none" else int(keep)) + 1)
    assert taken(merged.path, history=keep).filling == snapshot.filling
    # Who has the parents rebuilds the true commits from the manifest, to the same ids.
    for text in manifest.Manifest({"code": code_of(snapshot)}).commit_texts():
        merged.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text)
    place = clone if keep == 1000 else merged
    assert place.git("cat-file", "-t", str(snapshot.commit)) == b"commit\n"
    assert bool(code_of(snapshot).get("cut")) == (head.stands_for is not None) == (keep != 1000)


def test_auto_keeps_within_its_limits(merged: Folder) -> None:
    for limits, reason in (
        (HistoryLimits(size=600), "more than"),
        (HistoryLimits(objects=-1), "too many objects to count"),
    ):
        found = capture(merged.path, Options(history_limits=limits), None)
        assert reason in found.facts.cut
        assert serialization.parse_header(found.filling[:1024]).stands_for == found.facts.commit
    assert capture(merged.path, Options(), None).facts.cut == ""


def test_a_shallow_clone(merged: Folder, tmp_path: Path) -> None:
    clone = Folder(tmp_path / "clone")
    address = f"file://{merged.path}"
    subprocess.run(["git", "clone", "-q", "--depth=2", address, str(clone.path)], check=True)
    clone.write("train.py", "edited")
    with pytest.warns(JellyWarning, match="shallow"):
        snapshot = jellyml.create_snapshot(clone.path)
    assert unpacked(snapshot.filling, tmp_path / "one") == kept(clone)
    assert unpacked(taken(clone.path, history=9).filling, tmp_path / "two") == kept(clone)
    with pytest.raises(GitError, match="shallow"):
        jellyml.create_snapshot(clone.path, history="full", strict=True)
    clone.git("fetch", "-q", "--unshallow")
    assert "cut" not in code_of(taken(clone.path))


def test_texts_fit_into_a_manifest(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_TEXTS", 700)
    for number in range(6):
        repo.write("train.py", str(number))
        repo.commit(str(number))
    repo.write("train.py", "edited")
    snapshot = taken(repo.path, history=5)
    texts = list(manifest.Manifest({"code": code_of(snapshot)}).commit_texts())
    assert 1 < len(texts) < 6
    assert texts[-1].endswith(b"JellyML snapshot\n")


# Limits


def test_what_is_left_out_is_named(repo: Folder, tmp_path: Path) -> None:
    repo.write("large.bin", b"\1" * 3000)
    repo.write("small.bin", b"\1" * 1000)
    repo.write("train.py", b"\1" * 5000)  # tracked: always captured
    with pytest.warns(JellyWarning, match=r"large\.bin was left out.*max_file_size"):
        snapshot = jellyml.create_snapshot(repo.path, max_file_size=2000)
    found = unpacked(snapshot.filling, tmp_path / "unpacked")
    assert b"large.bin" not in found
    assert {b"small.bin", b"train.py"} <= set(found)
    assert [(one.path, one.reason, one.size) for one in snapshot.left_out] == [
        ("large.bin", "too large", 3000)
    ]
    with pytest.warns(JellyWarning, match=r"large\.bin was left out.*max_untracked"):
        jellyml.create_snapshot(repo.path, max_untracked=3500)


def test_a_warning_names_the_line_that_asked(repo: Folder) -> None:
    repo.write("large.txt", "x" * 200)
    with pytest.warns(JellyWarning) as caught:
        jellyml.create_snapshot(repo.path, max_file_size=100)
    assert {one.filename for one in caught} == {__file__}


def test_many_left_out_are_not_many_warnings(repo: Folder) -> None:
    for number in range(40):
        repo.write(f"data/../big{number}.bin", b"\1" * 10)
    with pytest.warns(JellyWarning) as said:
        snapshot = jellyml.create_snapshot(repo.path, max_file_size=5)
    assert len(said) == 11
    assert "30 more files" in str(said[-1].message)
    assert len(snapshot.left_out) == 40


def test_earlier_checkpoints_are_left_out_without_a_word(repo: Folder, tmp_path: Path) -> None:
    import torch

    path = repo.path / "model.bin"
    sizes = []
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            snapshot = jellyml.create_snapshot(repo.path)
        sizes.append(len(snapshot.filling))
        torch.save({"weights": torch.zeros(1000), **snapshot}, path)
    assert len(set(sizes)) == 1
    assert [one.path for one in snapshot.left_out] == ["model.bin"]
    assert code_of(snapshot)["left_out"]


def test_ten_thousand_untracked_files(repo: Folder) -> None:
    for number in range(10_000):
        (repo.path / f"new{number:05}.py").write_text(str(number))
    began = time.monotonic()
    snapshot = taken(repo.path)
    assert snapshot.filling
    assert time.monotonic() - began < 20


def test_a_large_tracked_file_is_not_held_many_times(repo: Folder) -> None:
    repo.write("weights.bin", os.urandom(1000))
    repo.commit()
    repo.write("weights.bin", os.urandom(60_000_000))
    code = (
        "import re, sys, jellyml, pathlib\n"
        "snapshot = jellyml.create_snapshot(sys.argv[1], strict=True)\n"
        "assert len(snapshot.filling) > 60_000_000\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, repo.path], check=True, capture_output=True
    )
    assert int(done.stdout) < 200_000  # KB: the bundle, the filling, and Python


# Faults


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], Path]:
    """A git that is the real one, but for its N-th call."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls = tmp_path / "calls"

    def arm(number: int, instead: str) -> Path:
        shutil.rmtree(calls, ignore_errors=True)
        calls.mkdir()
        (folder / "git").write_text(
            # Side by side too, each call has a number of its own.
            f"#!/bin/sh\nn=1; until mkdir '{calls}'/$n 2>/dev/null; do n=$((n+1)); done\n"
            f"if [ $n = {number} ]; then {instead}; fi\n"
            f"exec '{GIT}' \"$@\"\n"
        )
        (folder / "git").chmod(0o755)
        return calls

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return arm


@pytest.mark.parametrize("instead", ["exit 1", "echo fatal: no >&2; exit 128", "kill -9 $$"])
def test_every_git_call_failing(
    instead: str, failing: Callable[[int, str], Path], repo: Folder, tmp_path: Path
) -> None:
    repo.write(".gitattributes", "* text=auto\n")
    repo.write("train.py", "edited\r\n")
    sub = Folder(repo.path / "inner")
    sub.path.mkdir()
    sub.git("init", "-q")
    sub.write("a.py", "1")
    sub.commit()
    expected = unpacked(capture(repo.path, Options(), None).filling, tmp_path / "unpacked")
    failed: list[int] = []
    for number in range(1, 100):
        calls = failing(number, instead)
        with untouched(repo.path), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found = jellyml.create_snapshot(repo.path, history=number % 2 or "auto")
            except NotARepository:
                raise AssertionError("a failing git is no missing repository") from None
        if not (calls / str(number)).exists():
            break
        if found.commit is None:
            failed.append(number)
            assert not found.filling
            assert found.error
            assert any(found.error in str(one.message) for one in said)
        else:
            place = tmp_path / f"unpacked {number}"
            held = unpacked(found.filling, place)
            # A nested repository that git will not read is left out, and named.
            left = {os.fsencode(one.path) + b"/a.py" for one in found.left_out}
            assert held == {name: entry for name, entry in expected.items() if name not in left}
        for path in (Path.home() / ".cache/jellyml/captures").glob("*"):
            path.unlink()
    assert failed
    assert max(failed) > 5
    failing(max(failed), instead)
    with pytest.raises(JellyError):
        jellyml.create_snapshot(repo.path, history=max(failed) % 2 or "auto", strict=True)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_a_git_that_hangs(number: int, failing: Callable[[int, str], Path], repo: Folder) -> None:
    for name in range(300):
        repo.write(f"new{name}.py", os.urandom(1000))
    failing(number, "sleep 60")
    began = time.monotonic()
    with pytest.warns(JellyWarning, match="in time"):
        snapshot = jellyml.create_snapshot(repo.path, timeout=1)
    assert time.monotonic() - began < 10
    assert snapshot.commit is None


def test_no_git_at_all(repo: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.warns(JellyWarning, match="git was not found.*install git"):
        assert jellyml.create_snapshot(repo.path).commit is None


def test_inherited_variables(repo: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    repo.write("train.py", "edited")
    expected = capture(repo.path, Options(), None).filling
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY",
                 "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                 "GIT_LITERAL_PATHSPECS", "GIT_TRACE", "GIT_EXTERNAL_DIFF", "GIT_PREFIX",
                 "GIT_CONFIG_PARAMETERS", "GIT_AUTHOR_DATE", "GIT_SHALLOW_FILE"):  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / "nonsense"))
    assert capture(repo.path, Options(), None).filling == expected


SNAP = """
import os, sys, warnings
import platformdirs.unix
import jellyml.capture.create, jellyml.working_tree.commit
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.environ["HOME"] = "/nonexistent"
os.chdir("/")
warnings.simplefilter("always")
snapshot = jellyml.create_snapshot(sys.argv[1])
open(sys.argv[2], "wb").write(snapshot.filling) if len(sys.argv) > 2 else None
print(snapshot.commit, [one.path for one in snapshot.left_out])
"""


def as_nobody(*args: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", SNAP, *map(str, args)]
    return subprocess.run(command, text=True, capture_output=True)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@root_only
def test_a_repository_of_somebody_else(repo: Folder) -> None:
    nobody.given(repo.path)
    subprocess.run(["chown", "-R", "0:0", str(repo.path)], check=True)
    done = as_nobody(repo.path / "lib")
    assert done.returncode == 0, done.stderr
    assert "None" in done.stdout
    assert f"git config --global --add safe.directory {repo.path}\n" in done.stderr + "\n"


@root_only
def test_what_cannot_be_read(repo: Folder, tmp_path: Path) -> None:
    for name in ("closed/a.py", "blind/b.py", "blind/c.py", "secret.py", "kept.py"):
        repo.write(name, name)
    repo.commit()
    repo.write("closed/new.py", "1")
    repo.write("blind/new.py", "1")
    repo.write("untracked.py", "1")
    repo.write("own/untracked.py", "1")
    for name, mode in (
        ("closed", 0), ("blind", 0o444), ("secret.py", 0), ("untracked.py", 0), ("own", 0),
    ):  # fmt: skip
        (repo.path / name).chmod(mode)
    nobody.given(repo.path)
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    done = as_nobody(repo.path, out / "filling")
    assert done.returncode == 0, done.stderr
    for name in ("closed", "blind/b.py", "blind/new.py", "secret.py", "untracked.py", "own"):
        assert name in done.stdout
        assert f"{name}" in done.stderr
    found = unpacked((out / "filling").read_bytes(), tmp_path / "unpacked")
    assert set(found) == {b".gitignore", b"train.py", b"lib/net.py", b"kept.py"}


@root_only
def test_a_git_directory_that_cannot_be_written(repo: Folder, tmp_path: Path) -> None:
    repo.write("train.py", "edited")
    wanted = str(taken(repo.path).commit)
    nobody.given(repo.path)
    for path in (repo.path, *repo.path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    done = as_nobody(repo.path)
    assert done.stdout.startswith(wanted), done.stderr


# While others are at work


def test_files_that_are_being_written(repo: Folder, tmp_path: Path) -> None:
    versions = [bytes([65 + n]) * 5000 for n in range(20)]
    big = [bytes([65 + n]) * 10_000_000 for n in range(2)]
    repo.write("big.bin", big[0])
    repo.commit()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            beside = repo.path / "beside.log"
            beside.write_bytes(versions[number % 20])
            beside.replace(repo.path / "train.py")
            beside.write_bytes(big[number % 2])
            beside.replace(repo.path / "big.bin")
            (repo.path / "come.py").unlink(missing_ok=True)
            (repo.path / "come.py").symlink_to("x") if number % 3 else repo.write("come.py", "y")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(6):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", JellyWarning)
                snapshot = jellyml.create_snapshot(repo.path)
            if not snapshot.filling:
                assert "changed while" in str(snapshot.error)
                continue
            found = unpacked(snapshot.filling, tmp_path / f"unpacked {number}")
            assert found[b"train.py"][1] in [*versions, b"print('two')\n"]
            assert found[b"big.bin"][1] in big
            assert found.get(b"come.py") in (None, ("link", b"x"), ("file", b"y"))
    finally:
        stop.set()
        writer.join()
    assert unpacked(taken(repo.path).filling, tmp_path / "last") == kept(repo)


def test_eight_at_once_write_one_bundle(repo: Folder, home: Path, tmp_path: Path) -> None:
    repo.write("train.py", "edited")
    code = (
        "import sys, time, jellyml\n"
        "from jellyml.capture import capture\n"
        "while time.time() < float(sys.argv[2]): pass\n"
        "print(jellyml.create_snapshot(sys.argv[1]).commit)\n"
    )
    start = str(time.time() + 1.5)
    command = [sys.executable, "-c", code, str(repo.path), start]
    together = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(8)]
    answers = {process.communicate()[0] for process in together}
    assert answers == {str(taken(repo.path).commit).encode() + b"\n"}
    assert len(list((home / ".cache/jellyml/captures").iterdir())) == 1


def test_the_next_one_looks_while_the_first_one_packs(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And packs nothing itself: who came during the first look needs one of its own."""
    repo.write("train.py", "edited")
    log = tmp_path / "log"
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        f"'status '*) echo look >> '{log}' ;;\n"
        f"'pack-objects '*) echo pack >> '{log}'; sleep 2; echo packed >> '{log}' ;;\n"
        f"esac\nexec '{GIT}' \"$@\"\n"
    )
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    code = "import jellyml; print(jellyml.create_snapshot(history='full').commit)"
    command = [sys.executable, "-c", code]

    def begun() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, cwd=repo.path, stdout=subprocess.PIPE)

    first = begun()
    while not log.exists() or "pack" not in log.read_text():
        time.sleep(0.01)
    second = begun()
    answers = {one.communicate()[0] for one in (first, second)}

    assert len(answers) == 1
    assert log.read_text().split() == ["look", "pack", "look", "packed"]


@pytest.mark.parametrize(
    "moments", [12, pytest.param(max(1, round(300 * TORTURE)), marks=pytest.mark.torture)]
)
def test_killed_at_any_moment(moments: int, repo: Folder, home: Path, tmp_path: Path) -> None:
    for number in range(50):
        repo.write(f"new{number}.py", os.urandom(1000))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", "import sys, jellyml\njellyml.create_snapshot(sys.argv[1])"]
    with untouched(repo.path):
        for number in range(moments):
            process = subprocess.Popen(
                [*command, str(repo.path)], env=os.environ | {"TMPDIR": str(scratch)}
            )
            time.sleep(0.1 + 0.3 * number / moments)
            process.send_signal(signal.SIGKILL)
            process.wait()
    began = time.monotonic()
    assert unpacked(taken(repo.path).filling, tmp_path / "unpacked") == kept(repo)
    assert time.monotonic() - began < 10


def test_an_interrupted_load_is_named(repo: Folder) -> None:
    repo.write(".git/jellyml/main/ops/00000001.json", '{"status": "done"}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jellyml.create_snapshot(repo.path)
    repo.write(".git/jellyml/main/ops/00000002.json", '{"status": "begun"}')
    with untouched(repo.path), pytest.warns(JellyWarning, match="interrupted"):
        assert jellyml.create_snapshot(repo.path).commit


def test_nothing_is_printed(repo: Folder, capfd: pytest.CaptureFixture[str]) -> None:
    jellyml.create_snapshot(repo.path)
    assert capfd.readouterr() == ("", "")


# Arguments


@pytest.mark.parametrize(
    "wrong",
    [
        {"history": "some"}, {"history": -1}, {"history": True}, {"history": 1.5},
        {"max_file_size": -1}, {"max_file_size": "1"}, {"max_untracked": True},
        {"timeout": 0}, {"timeout": -1}, {"timeout": "1"}, {"timeout": float("nan")},
        {"git_repo_path": "missing"}, {"git_repo_path": "train.py"}, {"git_repo_path": 3},
        {"git_repo_path": "a\0b"}, {"out_git_bundle_path": "lib"}, {"notes": "text"},
        {"out_git_bundle_path": "missing/x"}, {"notes": {"x": "y" * 5_000_000}},
    ],
    ids=lambda wrong: str(wrong)[:30],
)  # fmt: skip
def test_wrong_arguments_raise_at_once(
    wrong: dict[str, object], repo: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError):
        jellyml.create_snapshot(**wrong)  # type: ignore[arg-type]


def test_any_folder_inside(repo: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.write("train.py", "edited")
    wanted = taken(repo.path).commit
    assert taken(Path(repo.path / "lib")).commit == wanted
    assert jellyml.create_jelly_filling(str(repo.path / "lib")).commit == wanted
    monkeypatch.chdir(repo.path / "lib")
    assert jellyml.create_snapshot().commit == jellyml.create_snapshot("..").commit == wanted


def test_no_repository(folder: Folder) -> None:
    with pytest.raises(NotARepository, match=r"is not a git repository.*git init.*create_git_repo"):
        jellyml.create_snapshot(folder.path)
    folder.git("init", "-q", "--bare")
    with pytest.warns(JellyWarning, match="no working tree"):
        assert not jellyml.create_snapshot(folder.path).filling


def test_a_new_repository(folder: Folder, tmp_path: Path) -> None:
    folder.write("train.py", "1")
    folder.write(".gitignore", "mine\n")
    folder.write("mine", "1")
    snapshot = jellyml.create_snapshot(folder.path, create_git_repo=True)
    assert unpacked(snapshot.filling, tmp_path / "unpacked") == kept(folder)
    assert folder.read(".gitignore") == b"mine\n"
    with untouched(folder.path):
        jellyml.create_snapshot(folder.path, create_git_repo=True)


def test_no_repository_is_made_over_one(folder: Folder) -> None:
    folder.git("init", "-q", "--bare", "bare")
    folder.write("astray/.git", "gitdir: /nowhere\n")
    for name in ("bare", "bare/refs", "astray"):
        with untouched(folder.path), pytest.raises((NotARepository, ForeignRepository)):
            jellyml.create_snapshot(folder.path / name, create_git_repo=True)


def test_the_bundle_beside(repo: Folder, tmp_path: Path) -> None:
    out = tmp_path / "code.bundle"
    snapshot = taken(repo.path, out_git_bundle_path=out)
    assert out.read_bytes() == snapshot.filling[1024:]
    subprocess.run(["git", "clone", "-q", str(out), str(tmp_path / "clone")], check=True)
    assert walked(tmp_path / "clone") == kept(repo)
    assert list(tmp_path.glob(".*")) == []
    inside = taken(repo.path, out_git_bundle_path=repo.path / "code.bundle")
    assert taken(repo.path).commit == inside.commit


def test_a_bundle_that_cannot_be_written(repo: Folder) -> None:
    with pytest.warns(JellyWarning, match="was not written"):
        assert jellyml.create_snapshot(repo.path, "/proc/code.bundle").commit
    with pytest.raises(OSError, match="/proc"):
        jellyml.create_snapshot(repo.path, "/proc/code.bundle", strict=True)
