"""``jellyml record``: the command runs as ever, and what it wrote carries the code of its start."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import jellyml
from at_the_keyboard import PROGRAM, Said, environment, start_command, type_on_terminal
from checkpoint_files import saved
from conftest import Folder
from jellyml.checkpoint import SIDECAR, Checkpoint
from jellyml.errors import JellyError, NoSnapshot, UnsafeToContinue
from jellyml.recorder import recorder as recording
from jellyml.recorder.fill_outputs import Live, fill_by_copy, fill_written
from jellyml.recorder.outputs import look, mark_of
from jellyml.recorder.run_state import RunState

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to pass on")

# What the command does; WEIGHTS names a checkpoint that it copies where it would save.
START = "import os, pickle, shutil, signal, sys, time; weights = os.environ['WEIGHTS']\n"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(saved({"w": [1.0, 2.0]}))
    monkeypatch.setenv("WEIGHTS", str(path))
    return path


@pytest.fixture
def project(repo: Folder, weights: Path) -> Folder:
    repo.write(".gitignore", "out/\n*.pth\n*.pkl\nvenv/\n")
    repo.commit("third")
    return repo


def command(code: str) -> list[str]:
    return [sys.executable, "-c", START + code]


def recorded(
    project: Folder, code: str, *options: str | Path, cwd: Path | None = None, **more: str
) -> Said:
    words = ["record", *map(str, options), "--", *command(code)]
    return start_command(*words, cwd=cwd or project.path, **more)


def carried(path: Path) -> bool:
    try:
        Checkpoint.open(path)
    except NoSnapshot:
        return False
    return True


def snapshot_of(project: Folder, before: Path | None = None) -> RunState:
    folder = before or project.path
    seen = look([folder]).marks()
    return RunState(["x"], [folder], jellyml.create_snapshot(project.path), seen)


# What is filled.


def test_what_the_run_wrote_is_filled_and_nothing_else(
    project: Folder, weights: Path, tmp_path: Path
) -> None:
    for name in ("old.pth", "moved.pth", "again.pth"):
        shutil.copy(weights, project.path / name)
    (tmp_path / "disk").mkdir()
    (project.path / "out").symlink_to(tmp_path / "disk")
    project.write("venv/pyvenv.cfg", "")
    project.write("train.py", "print('edited')\n")

    said = recorded(
        project,
        "for place in ('new.pth', 'again.pth', 'out/deep/a.pth', 'venv/v.pth', '.hidden/h.pth',"
        " '.git/g.pth', 'scheduler.pt'):\n"
        "    os.makedirs(os.path.dirname(place) or '.', exist_ok=True)\n"
        "    shutil.copyfile(weights, place)\n"
        "os.rename('moved.pth', 'elsewhere.pth'); os.symlink('new.pth', 'last.pth')\n"
        "pickle.dump([1], open('data.pkl', 'wb')); pickle.dump([1], open('model.pkl', 'wb'))\n"
        "open('train.py', 'w').write('changed meanwhile')\n",
    )

    assert (said.status, said.out) == (0, "")
    lines = said.err.splitlines()
    filled = {"new.pth", "again.pth", "model.pkl", "out/deep/a.pth"}
    assert lines[0].startswith("4 checkpoints carry now commit ")
    assert {line.strip() for line in lines if line.startswith("  ")} == filled
    assert "data.pkl was not filled: it may be data." in said.err
    assert all(carried(project.path / name) for name in filled)
    for name in ("old.pth", "elsewhere.pth", "venv/v.pth", ".hidden/h.pth", ".git/g.pth",
                 "scheduler.pt", "data.pkl"):  # fmt: skip
        assert not carried(project.path / name), name
    assert not (project.path / ".git/jellyml").exists()

    to = tmp_path / "code"
    jellyml.Workspace(project.path).load(project.path / "new.pth", to=to)
    assert (to / "train.py").read_text() == "print('edited')\n"  # as it was at the start


def test_the_manifest_is_of_the_command(project: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*command("shutil.copyfile(weights, 'm.pth')"), "--api-key", "secret-thing", "--", "-x"]
    said = start_command("record", "--", *words, cwd=project.path / "lib")
    assert said.status == 0
    manifest = Checkpoint.open(project.path / "lib/m.pth").manifest
    assert manifest
    assert manifest["recorded"] is True
    told = manifest["command"]
    assert isinstance(told, dict)
    assert told["argv"] == [*words[:3], "--api-key", "***", "--", "-x"]
    assert told["cwd"] == "lib"
    assert "python" in manifest
    assert "distributions" in manifest

    assert start_command("record", "--", "sh", "-c", 'cp "$WEIGHTS" s.pth', cwd=project.path)
    manifest = Checkpoint.open(project.path / "s.pth").manifest
    assert manifest
    assert not {"python", "distributions", "torch"} & manifest.keys()  # which, nobody can tell


def test_the_environment_is_that_of_the_program(project: Folder, tmp_path: Path) -> None:
    place = tmp_path / "env"
    site = place / "lib/python3.12/site-packages"
    (site / "thing-1.5.dist-info").mkdir(parents=True)
    (place / "bin").mkdir()
    (place / "pyvenv.cfg").write_text("home = /usr\nversion = 3.12.4\n")
    program = place / "bin/python"
    program.write_text('#!/bin/sh\ncp "$WEIGHTS" m.pth\n')
    tool = place / "bin/launch"
    tool.write_text(f"#!{program}\n")
    program.chmod(0o755)
    tool.chmod(0o755)
    for words in ([program], [tool]):
        start_command("record", "--", *words, cwd=project.path)
        manifest = Checkpoint.open(project.path / "m.pth").manifest
        assert manifest
        assert manifest["python"] == {"version": "3.12.4"}
        assert manifest["distributions"] == {"thing": {"version": "1.5"}}
        (project.path / "m.pth").unlink()


@pytest.mark.parametrize(
    "mark",
    [
        *("model.safetensors.index.json", "trainer_state.json", "x.distcp", "saved_model.pb"),
        "zero_pp_rank_0_mp_rank_00_optim_states.pt",
    ],
)
def test_a_folder_that_is_one_checkpoint_is_filled_as_one(project: Folder, mark: str) -> None:
    said = recorded(
        project,
        "os.makedirs('out/step'); shutil.copyfile(weights, 'out/step/part.bin')\n"
        f"open('out/step/{mark}', 'w').write('x')",
    )
    assert said.err.splitlines()[1:] == ["  out/step"]
    assert (project.path / "out/step" / SIDECAR).exists()
    assert not carried(project.path / "out/step/part.bin")


def test_code_that_the_run_put_there_itself_stays(project: Folder) -> None:
    own = project.path.parent / "own.py"
    own.write_text(
        "import jellyml, os, shutil\n"
        "shutil.copyfile(os.environ['WEIGHTS'], 'm.pth'); jellyml.fill('m.pth')\n"
    )
    said = start_command("record", "--", sys.executable, str(own), cwd=project.path)
    assert "m.pth was left alone" in said.err
    manifest = Checkpoint.open(project.path / "m.pth").manifest
    assert manifest
    assert "recorded" not in manifest


def test_the_newest_stays_the_newest(project: Folder, weights: Path) -> None:
    """A run that goes on from the newest checkpoint is to find that one."""
    plan = snapshot_of(project)
    names = ("out/epoch9.pth", "out/epoch10.pth", "out/state", "out/latest.pth")
    for age, name in enumerate(reversed(names), start=1):
        if name == "out/state":
            shutil.copy(weights, project.write("out/state/a.distcp"))
        else:
            shutil.copy(weights, project.write(name))
        os.utime(project.path / name, (2e9 - age, 2e9 - age))
    results = list(fill_written(look([project.path]).written_since(plan.before), plan))
    assert {each.kind for each in results} == {"filled"}
    assert len(results) == len(names)
    by_time = sorted(names, key=lambda name: (project.path / name).stat().st_mtime)
    assert by_time == list(names)


def test_what_was_only_fetched_stays_as_it_is(project: Folder, weights: Path) -> None:
    plan = snapshot_of(project)
    digest = "0123456789abcdef" * 4
    fetched = [
        f"cache/models--a--b/blobs/{digest}",
        f"cache/files/md5/01/{digest[:30]}",
        "base/model.safetensors.pth",
        "base/unet/model.pth",
    ]
    for path in (*fetched, "base/mine.pth"):
        shutil.copy(weights, project.write(path))
    for path in ("model.safetensors.pth", "unet/model.pth"):
        project.write(f"base/.cache/huggingface/download/{path}.metadata")
    results = list(fill_written(plan.of_the_run(look([project.path])), plan))
    assert [each.path for each in results] == [project.path / "base/mine.pth"]
    assert not any(carried(project.path / path) for path in fetched)


def test_an_earlier_runs_code_is_not_taken_for_this_ones(project: Folder, weights: Path) -> None:
    earlier = Checkpoint.open(jellyml.fill(weights, jellyml.create_snapshot(project.path)).path)
    assert earlier.manifest
    time.sleep(0.1)
    plan = snapshot_of(project)
    plan.began += 60
    shutil.copy(weights, project.path / "tuned.pth")
    (result,) = fill_written([project.path / "tuned.pth"], plan)
    assert result.kind == "not filled"
    assert "earlier run" in result.why


def test_a_thousand_files_fill_no_disk_the_largest_come_first(project: Folder) -> None:
    plan = snapshot_of(project)
    paths = []
    for count in (10, 3000, 200):
        path = project.path / f"{count}.pth"
        path.write_bytes(saved({"w": list(range(count))}))
        paths.append(path)
    results = list(fill_written(paths, plan, most=len(plan.snapshot.filling)))
    assert [(one.path.stem, one.kind) for one in results] == [
        ("3000", "filled"), ("200", "not filled"), ("10", "not filled"),
    ]  # fmt: skip


def test_a_walk_is_bounded_and_says_so(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).touch()
    assert look([tmp_path], most=4).whole
    assert not look([tmp_path], most=3).whole
    (tmp_path / "round").symlink_to(tmp_path)
    assert len(look([tmp_path, tmp_path]).files) == 4


def test_where_to_watch(project: Folder, tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    code = f"shutil.copyfile(weights, {str(place / 'm.pth')!r}); shutil.copyfile(weights, 'm.pth')"
    assert recorded(project, code, "--watch", place).status == 0
    assert carried(place / "m.pth")
    assert not carried(project.path / "m.pth")
    said = recorded(project, code, "--watch", tmp_path / "none")
    assert said.status == 2


# The command is as it would be without.


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_the_exit_status_is_the_commands(project: Folder, status: int) -> None:
    said = recorded(project, f"shutil.copyfile(weights, 'm.pth'); sys.exit({status})")
    assert said.status == status
    assert carried(project.path / "m.pth")


@posix_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT])
def test_an_end_by_a_signal_is_passed_on_too(project: Folder, number: int) -> None:
    code = (
        f"shutil.copyfile(weights, 'm.pth'); signal.signal({int(number)}, signal.SIG_DFL)"
        if (number != signal.SIGKILL)
        else "shutil.copyfile(weights, 'm.pth')"
    )
    said = recorded(project, f"{code}; os.kill(os.getpid(), {int(number)})")
    assert said.status == -number
    assert carried(project.path / "m.pth")
    assert not list(project.path.glob("core*"))


def test_a_command_that_is_not_there(project: Folder) -> None:
    for words, status in ((["no-such-command"], 127), (["./train.py"], 126)):
        said = start_command("record", "--", *words, cwd=project.path)
        assert said.status == status
        assert said.err.startswith(f"Error: {words[0]} could not be started")
        assert not (project.path / ".git/jellyml").exists()
    assert start_command("record", cwd=project.path).status == 2
    assert start_command("record", "--resume", "--", "ls", cwd=project.path).status == 2


def test_streams_are_the_commands_own(project: Folder) -> None:
    done = subprocess.run(
        [*PROGRAM, "record", "--", *command(
            "data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1])\n"
            "sys.stderr.write('its own\\n'); shutil.copyfile(weights, 'm.pth')"
        )],
        cwd=project.path, env=environment(), input=bytes(range(256)), capture_output=True,
    )  # fmt: skip
    assert done.stdout == bytes(range(256))[::-1]
    assert done.stderr.startswith(b"its own\n1 checkpoint carries now ")


def test_quiet(project: Folder) -> None:
    said = recorded(project, "shutil.copyfile(weights, 'm.pth')", "-q")
    assert said == (0, "", "")
    assert carried(project.path / "m.pth")


HANDLER = (
    "got = []\n"
    "for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):\n"
    "    signal.signal(one, lambda number, _: got.append(number))\n"
    "shutil.copyfile(weights, 'm.pth'); open('ready', 'w').close()\n"
    "until = time.time() + 30\n"
    "while not got and time.time() < until: time.sleep(0.01)\n"
    "time.sleep(1); print(got); sys.exit(7)"
)


def await_file(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.02)


def await_end(process: int) -> None:
    """It may stay a zombie: whoever is its parent now may not ask for its status."""
    until = time.monotonic() + 60
    with suppress(ProcessLookupError, FileNotFoundError):
        while "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]:
            os.kill(process, 0)
            assert time.monotonic() < until
            time.sleep(0.02)


def start(project: Folder, code: str, *options: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [*PROGRAM, "record", *options, "--", *command(code)],
        cwd=project.path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    await_file(project.path / "ready")
    return process


@pytest.fixture
def not_ignored(number: int) -> Iterator[None]:
    """Under nohup SIGHUP is ignored, by the tests and by all that they start."""
    was = signal.getsignal(number)
    if was is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
    yield
    signal.signal(number, was)


@posix_only
@pytest.mark.usefixtures("not_ignored")
@pytest.mark.parametrize("whole_group", [False, True], ids=["to us alone", "to the group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_reaches_the_command_once(project: Folder, number: int, whole_group: bool) -> None:
    process = start(project, HANDLER)
    send: Callable[[int, int], None] = os.killpg if whole_group else os.kill
    send(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert out.decode() == f"{[int(number)]}\n"
    assert process.returncode == 7
    assert b"1 checkpoint carries now" in err  # we outlive it and fill


@posix_only
def test_the_interrupt_key_reaches_the_command_once(project: Folder) -> None:
    code = (
        "got = []; signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "shutil.copyfile(weights, 'm.pth'); print('ready] ', end='', flush=True)\n"
        "until = time.time() + 30\n"
        "while not got and time.time() < until: time.sleep(0.01)\n"
        "time.sleep(1); print('got', len(got)); sys.exit(7)"
    )
    said = type_on_terminal("record", "--", *command(code), cwd=project.path, answer=b"\x03")
    assert "got 1\n" in said.out
    assert said.status == 7
    assert carried(project.path / "m.pth")


@posix_only
def test_what_is_ignored_stays_ignored(project: Folder) -> None:
    words = [*PROGRAM, "record", "--", *command("print(signal.getsignal(signal.SIGHUP) == 1)")]
    done = subprocess.run(
        ["nohup", *words], cwd=project.path, env=environment(), capture_output=True
    )
    assert done.stdout == b"True\n"


# Nothing that goes wrong changes how the command ends.


def test_where_there_is_no_repository(tmp_path: Path, weights: Path) -> None:
    folder = Folder(tmp_path / "plain")
    folder.path.mkdir()
    said = recorded(folder, "shutil.copyfile(weights, 'm.pth'); print('ran'); sys.exit(3)")
    assert (said.status, said.out) == (3, "ran\n")
    assert "Warning: The code was not captured." in said.err
    assert "is not a git repository" in said.err
    assert not carried(folder.path / "m.pth")


def test_without_git(project: Folder) -> None:
    said = recorded(project, "shutil.copyfile(weights, 'm.pth'); sys.exit(3)", PATH="/nowhere")
    assert said.status == 3
    assert "Warning: The code was not captured." in said.err


def test_a_fill_that_fails_is_named(project: Folder) -> None:
    said = recorded(
        project, "shutil.copyfile(weights, 'm.pth'); os.link('m.pth', 'n.pth'); sys.exit(3)"
    )
    assert said.status == 3
    assert said.err.count("was not filled: ") == 2
    assert "has 2 names" in said.err
    assert not carried(project.path / "m.pth")


def test_where_nothing_can_be_kept_the_end_still_fills(project: Folder) -> None:
    project.write(".git/jellyml", "a file in the way")
    said = recorded(project, "shutil.copyfile(weights, 'm.pth'); sys.exit(3)")
    assert said.status == 3
    assert "cannot be resumed" in said.err
    assert carried(project.path / "m.pth")


@posix_only
def test_two_at_once_in_one_folder_claim_nothing(project: Folder) -> None:
    other = start(project, "open('ready', 'w').close(); time.sleep(60)")
    try:
        said = recorded(project, "shutil.copyfile(weights, 'm.pth')")
        assert "could be of either" in said.err
        (project.path / "out").mkdir()
        apart = recorded(project, "shutil.copyfile(weights, 'out/m.pth')", "--watch", "lib")
        assert "could be of either" not in apart.err
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.communicate()
    assert not carried(project.path / "m.pth")


@posix_only
def test_neither_of_two_claims_what_the_other_wrote(project: Folder) -> None:
    """Whichever ends first, and though the other is gone by then."""
    inner = "open('ready', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
    other = start(project, inner + "shutil.copyfile(weights, 'one.pth')")
    project.write("train.py", "edited since\n")
    said = recorded(project, "shutil.copyfile(weights, 'two.pth')")
    assert "two.pth was not filled: another recorded command" in said.err
    project.write("go")
    _, told = other.communicate()
    assert "one.pth was not filled: another recorded command" in told.decode()
    assert not any(carried(project.path / name) for name in ("one.pth", "two.pth"))
    assert not (project.path / ".git/jellyml").exists()


@posix_only
def test_a_record_within_a_record(project: Folder) -> None:
    inner = "[sys.executable, '-m', 'jellyml', 'record', '--', *__import__('shlex').split(words)]"
    code = f"words = 'cp ' + weights + ' m.pth'; __import__('subprocess').run({inner}, check=True)"
    said = recorded(project, code)
    assert "m.pth was not filled: another recorded command" in said.err
    assert "1 checkpoint carries now" in said.err
    assert carried(project.path / "m.pth")


# After a kill.


@posix_only
def test_a_kill_is_resumed(project: Folder) -> None:
    process = start(
        project,
        "shutil.copyfile(weights, 'm.pth'); open('ready', 'w').close()\n"
        "while not os.path.exists('go'): time.sleep(0.02)\n"
        "shutil.copyfile(weights, 'late.pth'); open('pid', 'w').write(str(os.getpid()))\n"
        "os.rename('pid', 'gone')",
    )
    (noted_in,) = project.path.glob(".git/jellyml/records/*/plan.json")
    assert waited_for(lambda: b'"child": null' not in noted_in.read_bytes())
    process.kill()
    process.wait()
    if sys.platform == "linux":
        said = start_command("record", "--resume", cwd=project.path)
        assert said.status == 3
        assert "still runs" in said.err
        said = start_command("doctor", cwd=project.path)
        assert said.status == 0
        assert "still runs" in said.out
    project.write("go")
    await_file(project.path / "gone")
    await_end(int(project.read("gone")))
    project.write("train.py", "edited since\n")
    process.communicate()
    noted = recorded(project, "pass", "--watch", "lib")
    assert "jellyml record --resume finishes it" in noted.err
    said = start_command("doctor", "-c", project.path, cwd=project.path.parent)
    assert said.status == 1
    assert f"Fix: jellyml record --resume -c {project.path}" in said.out

    said = start_command("record", "--resume", cwd=project.path)

    assert said.status == 0
    assert "2 checkpoints carry now" in said.err
    for name in ("m.pth", "late.pth"):
        manifest = Checkpoint.open(project.path / name).manifest
        assert manifest
        assert manifest["recorded"] is True
    assert not (project.path / ".git/jellyml").exists()
    again = start_command("record", "--resume", cwd=project.path)
    assert (again.status, again.err) == (0, "There is nothing to finish.\n")
    assert start_command("doctor", cwd=project.path).out == "All is well.\n"


def test_a_kill_while_filling_is_resumed(project: Folder, weights: Path) -> None:
    from jellyml.repo.repository import Repository

    plan = snapshot_of(project)
    for name in ("a.pth", "b.pth", "later.pth"):
        shutil.copy(weights, project.path / name)
    os.utime(project.path / "later.pth", (2e9, 2e9))
    with plan.persisted(Repository.find(project.path)):
        plan.has_ended(time.time())
        assert next(fill_written([project.path / "a.pth"], plan)).kind == "filled"
        beside = project.path / ".jellyml-record-1-2"
        plan.copying(beside)
        beside.touch()
    (done,) = recording.resume(project.path)
    assert {(one.path.name, one.kind) for one in done.results} == {
        ("a.pth", "filled"),
        ("b.pth", "filled"),
    }
    assert not beside.exists()
    assert not carried(project.path / "later.pth")  # long after the end: somebody else's


@pytest.mark.parametrize("what", ["plan.json", "filling"])
def test_a_plan_that_is_not_whole_is_passed_over(project: Folder, what: str) -> None:
    from jellyml.repo.repository import Repository

    plan = snapshot_of(project)
    with plan.persisted(Repository.find(project.path)):
        assert plan.place
        (plan.place / what).unlink()
    assert recording.resume(project.path) == []
    # Killed before anything was run, it is nobody's.
    assert plan.place.exists() == (what != "plan.json")


def test_what_is_kept_is_private(project: Folder) -> None:
    from jellyml.repo.repository import Repository

    plan = snapshot_of(project)
    with plan.persisted(Repository.find(project.path)):
        assert plan.place
        assert plan.place.is_relative_to(project.path / ".git/jellyml/records")
        if os.name != "nt":
            assert plan.place.stat().st_mode & 0o077 == 0
            assert all(each.stat().st_mode & 0o077 == 0 for each in plan.place.iterdir())
    assert project.git("status", "--porcelain") == b""


# --live


def waited_for(done: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
    return done()


def test_live_fills_what_stands_still_by_another_file(project: Folder, weights: Path) -> None:
    plan = snapshot_of(project)
    with Live(plan, every=0.05).meanwhile():
        shutil.copy(weights, project.path / "one.pth")
        os.utime(project.path / "one.pth", ns=(1, 1_700_000_000_000_000_123))
        reading = (project.path / "one.pth").open("rb")
        assert waited_for(lambda: carried(project.path / "one.pth"))
        assert reading.read() == weights.read_bytes()  # whoever reads the old one goes on
        reading.close()
        assert (project.path / "one.pth").stat().st_mtime_ns == 1_700_000_000_000_000_123
        shutil.copy(weights, project.path / "one.pth")  # saved again
        assert waited_for(lambda: carried(project.path / "one.pth"))
    assert [one.kind for one in fill_written([project.path / "one.pth"], plan)] == ["filled"]
    assert not list(project.path.glob(".jellyml-record*"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who writes a file")
def test_live_leaves_what_is_being_written(project: Folder, weights: Path) -> None:
    plan = snapshot_of(project)
    with Live(plan, every=0.05).meanwhile():
        with (project.path / "one.pth").open("wb") as file:
            file.write(weights.read_bytes())
            file.flush()
            shutil.copy(weights, project.path / "two.pth")
            assert waited_for(lambda: carried(project.path / "two.pth"))
            assert not carried(project.path / "one.pth")
        assert waited_for(lambda: carried(project.path / "one.pth"))


def test_live_claims_nothing_where_another_writes(project: Folder, weights: Path) -> None:
    from jellyml.repo.repository import Repository

    plan = snapshot_of(project)
    shutil.copy(weights, project.path / "one.pth")
    with plan.persisted(Repository.find(project.path)):
        plan.mix()
        live = Live(plan, every=0.05)
        for _ in range(3):
            live._look()
        assert not carried(project.path / "one.pth")
        plan.done()


def test_a_file_that_changed_while_it_was_copied_is_not_replaced(
    project: Folder, weights: Path
) -> None:
    plan = snapshot_of(project)
    path = project.path / "one.pth"
    shutil.copy(weights, path)
    mark = mark_of(path)
    assert mark
    with pytest.raises(JellyError):
        fill_by_copy(path, (mark[0], mark[1], mark[2] - 1, mark[3]), plan)
    assert path.read_bytes() == weights.read_bytes()
    assert not list(project.path.glob(".jellyml-record*"))
    path.chmod(0o640)
    os.link(path, project.path / "last.pth")
    with pytest.raises(UnsafeToContinue, match="2 names"):
        fill_by_copy(path, mark, plan)
    (project.path / "last.pth").unlink()
    fill_by_copy(path, mark, plan)
    assert carried(path)
    assert path.stat().st_mode & 0o777 == 0o640


@posix_only
def test_live_from_the_command_line(project: Folder) -> None:
    code = (
        "shutil.copyfile(weights, 'm.pth'); before = os.stat('m.pth').st_ino\n"
        "until = time.time() + 40\n"
        "while os.stat('m.pth').st_ino == before and time.time() < until: time.sleep(0.1)\n"
        "sys.exit(9 if os.stat('m.pth').st_ino != before else 1)"
    )
    said = recorded(project, code, "--live")
    assert said.status == 9
    assert "1 checkpoint carries now" in said.err
    assert carried(project.path / "m.pth")


def test_names_are_shown_harmless(project: Folder) -> None:
    said = recorded(project, "shutil.copyfile(weights, 'e\\x1bvil.pth')")
    assert "\x1b" not in said.err
    assert "e\\x1bvil.pth" in said.err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says who writes a file")
def test_live_tries_again_what_was_written_when_its_turn_came(
    project: Folder, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Still at the look, opened again while it is copied, closed before the look is over."""
    real = fill_by_copy
    opened = list[str]()

    def interfering(path: Path, mark: object, plan: object) -> int:
        if opened:
            return real(path, mark, plan)  # type: ignore[arg-type]
        opened.append(str(path))
        with path.open("r+b"):
            return real(path, mark, plan)  # type: ignore[arg-type]

    monkeypatch.setattr("jellyml.recorder.fill_outputs.fill_by_copy", interfering)
    with Live(snapshot_of(project), every=0.05).meanwhile():
        shutil.copy(weights, project.path / "one.pth")
        assert waited_for(lambda: carried(project.path / "one.pth"))
    assert opened
