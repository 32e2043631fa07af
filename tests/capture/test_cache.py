"""The cache: what was seen before costs a look; nothing torn, stale or foreign comes out of it."""

import json
import os
import time
from pathlib import Path

import pytest

import jellyml
from captures import kept, taken, unpacked
from conftest import Folder
from jellyml.capture import cache
from jellyml.capture.cache import Cache


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    opened = Cache.open(tmp_path / "kept")
    assert opened
    return opened


def captures(home: Path) -> list[Path]:
    return list((home / ".cache/jellyml/captures").iterdir())


def test_a_state_seen_before_is_not_built_again(repo: Folder, home: Path) -> None:
    repo.write("train.py", "edited")
    one = taken(repo.path)
    (file,) = captures(home)
    was = file.stat().st_ino
    assert taken(repo.path).filling == one.filling
    assert [path.stat().st_ino for path in captures(home)] == [was]
    repo.git("add", "-A")  # the index is no part of the code
    assert taken(repo.path).filling == one.filling
    assert len(captures(home)) == 1
    repo.write("train.py", "edite!")
    assert taken(repo.path).filling != one.filling


def test_other_options_are_other_captures(repo: Folder, home: Path) -> None:
    for options in ({}, {"history": "none"}, {"history": 1}):
        taken(repo.path, **options)
    assert len(captures(home)) == 3


def test_nothing_torn_comes_out(repo: Folder, home: Path) -> None:
    one = taken(repo.path)
    (file,) = captures(home)
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (b"", whole[:10], whole[:-1], whole + b"x", bytes(flipped), b"x y\n" + whole):
        file.write_bytes(damaged)
        assert taken(repo.path).filling == one.filling
        assert file.read_bytes() == whole


def test_a_home_that_cannot_be_written(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "file"), "/proc", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert taken(repo.path).commit
    assert not Path("relative").exists()


def test_another_users_folder_is_not_trusted(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "theirs").mkdir()
        os.chown(tmp_path / "theirs", 65534, 65534)
        assert Cache.open(tmp_path / "theirs") is None


def test_a_home_that_is_a_repository(home: Path, tmp_path: Path) -> None:
    dotfiles = Folder(home)
    dotfiles.git("init", "-q")
    dotfiles.write("a.py", "1")
    first, second = taken(home), taken(home)
    assert first.filling == second.filling
    assert unpacked(second.filling, tmp_path / "unpacked") == kept(dotfiles)
    assert set(kept(dotfiles)) == {b"a.py"}


def test_only_the_owner_can_look(store: Cache) -> None:
    store.put("k", b"filling", {})
    assert {
        oct(path.stat().st_mode & 0o77) for path in store.folder.rglob("*") if path.is_dir()
    } == {"0o0"}
    assert (store.folder / "captures/k").stat().st_mode & 0o77 == 0


def test_the_least_recently_used_go_first(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 350)
    for number in range(3):
        store.put(str(number), bytes(100), {})
        os.utime(store.folder / "captures" / str(number), (number, number))
    assert store.get("0")
    store.put("3", bytes(100), {})
    assert [bool(store.get(str(number))) for number in range(4)] == [True, False, True, True]
    store.put("large", bytes(1000), {})
    assert store.get("large")


def test_litter_is_swept(store: Cache) -> None:
    old, new = (store.folder / "captures" / name for name in (".k.1.2", ".k.3.4"))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    store.put("k", b"x", {})
    assert (old.exists(), new.exists()) == (False, True)


def test_turns_leave_few_files(store: Cache) -> None:
    for number in range(400):
        with store.turn(Path(f"/repository/{number}"), "") as turn:
            turn.leave(cache.now(), {})
    assert len(list((store.folder / "turns").iterdir())) <= 512


def test_a_look_is_taken_over_only_if_it_is_new_and_of_here(store: Cache) -> None:
    here = Path("/a")
    with store.turn(here, "x") as turn:
        entered = turn.entered
        turn.leave(cache.now(), {"key": "k"})
        assert turn.result() == {"key": "k"}
        record = json.loads(turn.record.read_bytes())
        for changed in (
            {"boot": "another"}, {"boot": ""}, {"began": entered - 1}, {"name": "another"},
            {"began": "soon"}, {"began": None},
        ):  # fmt: skip
            turn.record.write_text(json.dumps(record | changed))
            assert turn.result() is None, changed
        for torn in ("", "{", "[]", "3"):
            turn.record.write_text(torn)
            assert turn.result() is None
    with store.turn(here, "x") as turn:
        assert turn.result() is None


def test_a_stuck_neighbour_is_not_waited_for(store: Cache) -> None:
    with store.turn(Path("/a"), "x"):
        began = time.monotonic()
        with store.turn(Path("/a"), "x", wait=0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 2


def test_a_file_as_new_as_the_look_is_read_again(repo: Folder) -> None:
    seen = set()
    for number in range(30):
        repo.write("train.py", f"{number:04}")
        found = jellyml.create_snapshot(repo.path)
        seen.add(found.commit)
    assert len(seen) == 30
