"""The cache: what was seen before costs a look; nothing torn, stale or foreign comes out of it."""

import errno
import os
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

import jellyml
from captures import kept, taken, unpacked
from conftest import Folder
from jellyml.capture import cache
from jellyml.capture.cache import Built, Cache
from jellyml.fs import atomic
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import Credential
from jellyml.working_tree.scratch import ChangedMeanwhile


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    opened = Cache.open(tmp_path / "kept")
    assert opened
    return opened


def built(bundle: bytes = b"# v2 git bundle\n") -> Built:
    head = serialization.header(bundle, commit="1" * 40)
    return Built(head + bundle, "1" * 40)


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
    store.put("k", built())
    assert {
        oct(path.stat().st_mode & 0o77) for path in store.folder.rglob("*") if path.is_dir()
    } == {"0o0"}
    assert (store.folder / "captures/k").stat().st_mode & 0o77 == 0


def test_the_least_recently_used_go_first(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("0", built())
    size = (store.folder / "captures/0").stat().st_size
    monkeypatch.setattr(cache, "LIMIT", size * 7 // 2)
    for number in range(3):
        store.put(str(number), built())
        os.utime(store.folder / "captures" / str(number), (number, number))
    assert store.get("0")
    store.put("3", built())
    assert [bool(store.get(str(number))) for number in range(4)] == [True, False, True, True]
    store.put("large", built(bytes(5 * size)))
    assert store.get("large")


def test_litter_is_swept(store: Cache) -> None:
    old, new = (store.folder / "captures" / name for name in (".k.1.2", ".k.3.4"))
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    store.put("k", built())
    assert (old.exists(), new.exists()) == (False, True)


def test_what_is_kept_comes_back_whole(store: Cache) -> None:
    one = replace(
        built(),
        cut="as asked",
        commit_texts={"2" * 40: b"tree\0\xff"},
        raw=("a\udcff",),
        secrets=(Credential("a.py", 3, "a key"),),
    )
    store.put("k", one)
    assert store.get("k") == one


@pytest.mark.parametrize(
    "changed",
    [
        {"commit": None}, {"cut": 1}, {"texts": []}, {"texts": {"a": 1}}, {"texts": {"a": "x"}},
        {"raw": None}, {"raw": [1]}, {"secrets": [1]}, {"secrets": [{"path": "a"}]},
        {"secrets": [{"path": 1, "line": 1, "kind": "a"}]},
    ],
)  # fmt: skip
def test_what_jellyml_would_not_have_written_is_not_used(
    store: Cache, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object]
) -> None:
    written = cache._as_json(built())
    monkeypatch.setattr(cache, "_as_json", lambda _: written | changed)
    store.put("k", built())
    assert store.get("k") is None
    assert store.get_or_build("k", built) == built()


@pytest.mark.parametrize("filling", [b"", b"filling", bytes(2000)])
def test_a_filling_without_a_header_is_not_used(store: Cache, filling: bytes) -> None:
    store.put("k", replace(built(), filling=filling))
    assert store.get("k") is None


def test_a_key_is_never_a_path(store: Cache) -> None:
    for key in ("", "../k", "/k", "a/b", "k" * 65, "k\n"):
        with pytest.raises(ValueError, match="is not a key"):
            store.get_or_build(key, built)


def test_many_captures_leave_few_locks(store: Cache) -> None:
    for number in range(600):
        store.get_or_build(str(number), built, keep_if=lambda: False)
        store.keep_indexes(Path(f"/repository/{number}"), {"1-ff": True})
    for name in ("locks", "indexes"):
        assert len(list((store.folder / name).iterdir())) <= 256


def test_what_did_not_stand_still_is_not_kept(store: Cache) -> None:
    assert store.get_or_build("k", built, keep_if=lambda: False) == built()
    assert store.get("k") is None
    store.get_or_build("k", built)
    assert store.get("k") == built()


def test_a_full_disk_only_means_not_kept(store: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "replace", full)
    assert store.get_or_build("k", built) == built()
    store.keep_indexes(Path("/a"), {"1-ff": True})
    assert store.get("k") is None


def test_indexes_are_checked_like_any_input(store: Cache) -> None:
    place = Path("/a")
    store.keep_indexes(place, {"1-ff": True})
    assert store.indexes(place) == {"1-ff": True}
    (file,) = (store.folder / "indexes").iterdir()
    for torn in ("", "{", "[]", "3", '{"1-ff": 1}', "[" * 60_000, " " * 100_000 + "{}"):
        file.write_text(torn)
        assert store.indexes(place) == {}


def test_another_process_that_builds_is_waited_for(store: Cache) -> None:
    inside, done = threading.Event(), threading.Event()

    def slow() -> Built:
        inside.set()
        done.wait(10)
        return built()

    first = threading.Thread(target=store.get_or_build, args=("k", slow))
    first.start()
    inside.wait(10)
    threading.Timer(0.1, done.set).start()
    found = store.get_or_build("k", lambda: pytest.fail("built twice"), wait=10)
    first.join()
    assert found == built()


def test_a_stuck_neighbour_is_not_waited_for(store: Cache) -> None:
    began = time.monotonic()

    def inner() -> Built:
        return store.get_or_build("k", built, wait=0.2)

    assert store.get_or_build("k", inner) == built()
    assert 0.2 <= time.monotonic() - began < 60


@pytest.mark.parametrize(("changes", "tries"), [(0, 1), (2, 3), (5, 3)])
def test_what_changes_under_the_read_is_read_again(changes: int, tries: int) -> None:
    tried: list[int] = []

    def attempt() -> None:
        tried.append(1)
        if len(tried) <= changes:
            raise ChangedMeanwhile("a.py changed.", "try again.")

    with pytest.raises(ChangedMeanwhile) if changes > tries else nullcontext():
        cache.retry(attempt, ChangedMeanwhile)
    assert len(tried) == tries


def test_a_file_as_new_as_the_look_is_read_again(repo: Folder) -> None:
    seen = set()
    for number in range(30):
        repo.write("train.py", f"{number:04}")
        found = jellyml.create_snapshot(repo.path)
        seen.add(found.commit)
    assert len(seen) == 30
