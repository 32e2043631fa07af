"""The quarantine: honest bundles come through whole, bad ones leave nothing, limits hold."""

import random
import re
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from conftest import Folder
from hostile import (
    CASES,
    DOT_GIT,
    ELSEWHERE,
    MIB,
    UNUSUAL,
    Pack,
    chained_folders,
    entry_of,
    flat,
    good,
    memory_bomb,
    named,
    small,
    taken,
    time_bomb,
    unfolding,
)
from jellyml.errors import BadSnapshot, GitError
from jellyml.quarantine import index_pack, quarantine
from jellyml.quarantine.pack_limits import watched
from jellyml.quarantine.quarantine import VerifiedCode, quarantined
from jellyml.quarantine.tree_check import Most, Process, _objects, check_tip
from jellyml.repo.git import Git, kill
from jellyml.repo.paths import check_name, folded

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="no limits for other processes")


def entered(
    content: bytes, max_unpacked: int = 4 << 30, max_entries: int = 1_000_000
) -> VerifiedCode:
    with quarantined(
        [content], size=len(content), max_unpacked=max_unpacked, max_entries=max_entries
    ) as incoming:
        return incoming


def bundled(repo: Folder, *refs: str) -> bytes:
    repo.git("bundle", "create", "-q", "../bundle", *(refs or ("HEAD",)))
    return (repo.path.parent / "bundle").read_bytes()


def cut(content: bytes, length: int) -> list[bytes]:
    return [content[at : at + length] for at in range(0, len(content), length)]


# --- honest bundles ---


def test_a_bundle_comes_through_whole(repo: Folder, tmp_path: Path) -> None:
    content = bundled(repo)

    with quarantined([content], size=len(content), folder=tmp_path) as incoming:
        listed = incoming.git.run("ls-tree", "-r", incoming.commit)
        history = incoming.git.run("rev-list", "--objects", incoming.commit)
        place = incoming.git.folder
        assert place.parent == tmp_path
        assert place.stat().st_mode & 0o777 == 0o700
        assert incoming.objects == place / "objects"
        assert not incoming.git.run("for-each-ref")

    assert not place.exists()
    assert listed == repo.git("ls-tree", "-r", "HEAD")
    assert history == repo.git("rev-list", "--objects", "HEAD")
    assert incoming.commit == repo.git("rev-parse", "HEAD").decode().strip()
    assert incoming.tree == repo.git("rev-parse", "HEAD^{tree}").decode().strip()
    assert incoming.object_format == "sha1"
    assert incoming.entries == 4  # three files and a folder
    files = ("train.py", "lib/net.py", ".gitignore")
    assert incoming.size == sum(len(repo.read(name)) for name in files)
    assert incoming.names_that_fold == ()


def test_a_folder_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    content = good()

    with quarantined([content], size=len(content), folder=Path("here")) as incoming:
        assert incoming.git.folder.parent == tmp_path / "here"


def test_sha256(folder: Folder) -> None:
    folder.git("init", "-q", "--object-format=sha256")
    folder.write("a", "a\n")
    commit = folder.commit()

    incoming = entered(bundled(folder))

    assert (incoming.commit, incoming.object_format) == (commit, "sha256")
    assert (incoming.entries, incoming.size) == (1, 2)


def test_a_bundle_of_everything_brings_the_newest_commit_only(repo: Folder) -> None:
    repo.git("switch", "-q", "-c", "other", "HEAD~1")
    repo.write("other", "other\n")
    repo.commit("on another branch")
    repo.git("tag", "-m", "a tag", "v1")
    repo.git("switch", "-q", "main")
    repo.git("merge", "-q", "-m", "merged", "other")
    head = repo.git("rev-parse", "HEAD").decode().strip()

    assert entered(bundled(repo, "HEAD", "--all")).commit == head


def test_a_tree_as_wide_as_real_ones(repo: Folder) -> None:
    """More files and folders than one question to git holds, some of them the same."""
    for number in range(500):
        repo.write(f"{number % 70}/{number % 7}/{number}", f"{number % 300}\n")
    repo.write("empty")
    (repo.path / "link").symlink_to("train.py")
    repo.commit()
    listed = repo.git("ls-tree", "-rtlz", "HEAD").split(b"\0")[:-1]
    sizes = [int(size) for size in (line.split()[3] for line in listed) if size != b"-"]

    incoming = entered(bundled(repo))

    assert incoming.entries == len(listed)
    assert incoming.size == sum(sizes)


def test_counts_are_of_what_unfolds() -> None:
    incoming = entered(unfolding(4))

    assert incoming.entries == 10 + 100 + 1000 + 10_000
    assert incoming.size == 10_000 * len(b"x\n")


def test_names_that_fold_are_named() -> None:
    incoming = entered(named(b"A", b"a", b"b", "\u00fc".encode(), "u\u0308".encode(), b"b. "))

    assert set(incoming.names_that_fold) == {"a", "b. ", "\u00fc"}


def test_a_user_with_git_variables_set(
    repo: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a hook of theirs has it: nothing may end up in their repository."""
    content = good()
    for name, value in {
        "GIT_DIR": repo.path / ".git",
        "GIT_OBJECT_DIRECTORY": repo.path / ".git" / "objects",
        "GIT_CONFIG_COUNT": 1,
        "GIT_CONFIG_KEY_0": "core.bigFileThreshold",
        "GIT_CONFIG_VALUE_0": "nonsense",
    }.items():
        monkeypatch.setenv(name, str(value))
    before = sorted(repo.path.rglob("*"))

    incoming = entered(content)

    assert incoming.entries == 1
    assert sorted(repo.path.rglob("*")) == before


# --- how the bytes come ---


@pytest.mark.parametrize("length", [1, 3, 64])
def test_pieces_of_any_length(length: int) -> None:
    content = good()

    with quarantined(cut(content, length), size=len(content)) as incoming:
        assert incoming.entries == 1


def test_what_lies_beyond_the_size_is_cut_off() -> None:
    content = good()

    with quarantined([content + b"more", b"and more"], size=len(content)) as incoming:
        assert incoming.entries == 1


def test_a_size_that_is_too_small() -> None:
    content = good()

    with (
        pytest.raises(BadSnapshot, match="damaged"),
        quarantined([content], size=len(content) - 10),
    ):
        pass


@pytest.mark.parametrize("more", [1, MIB, 1 << 90])
def test_a_size_that_lies(more: int) -> None:
    content = good()

    with (
        pytest.raises(BadSnapshot, match="shorter than it says"),
        quarantined([content], size=len(content) + more),
    ):
        pass


def test_the_source_has_the_last_word(tmp_path: Path) -> None:
    """It checks its digest after the last piece."""

    def source() -> Iterator[bytes]:
        yield good()
        raise BadSnapshot("The digest differs.")

    with (
        pytest.raises(BadSnapshot, match="digest"),
        quarantined(source(), size=len(good()), folder=tmp_path),
    ):
        pass
    assert not any(tmp_path.iterdir())


def test_a_source_that_fails_in_between(tmp_path: Path) -> None:
    def source() -> Iterator[bytes]:
        yield good()[:-30]
        raise OSError("the disk went away")

    with (
        pytest.raises(OSError, match="went away"),
        quarantined(source(), size=len(good()), folder=tmp_path),
    ):
        pass
    assert not any(tmp_path.iterdir())


def test_git_may_end_before_the_bytes_do() -> None:
    content = memory_bomb()
    pieces = [content, *[bytes(MIB)] * 20]

    with (
        pytest.raises(BadSnapshot, match="memory"),
        quarantined(pieces, size=len(content) + 20 * MIB),
    ):
        pass


def test_git_may_say_more_than_a_pipe_holds() -> None:
    pack, head = small()
    for number in range(2000):
        text = f"object {head}\ntype commit\ntag v{number}\n\nno tagger, so git warns\n"
        pack.put("tag", text.encode())

    assert entered(pack.bundle(head)).commit == head


def test_nothing_stays_when_the_caller_fails(tmp_path: Path) -> None:
    content = good()

    with suppress(KeyboardInterrupt), quarantined([content], size=len(content), folder=tmp_path):
        raise KeyboardInterrupt

    assert not any(tmp_path.iterdir())


# --- limits ---


@linux_only
def test_a_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "_SECONDS", 1)
    began = time.monotonic()

    with pytest.raises(BadSnapshot, match="time or memory") as refused:
        entered(time_bomb())

    assert "--max-unpacked" in refused.value.fix
    assert time.monotonic() - began < 10


def test_a_limit_of_time_where_the_kernel_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "KERNEL_LIMITS", False)
    monkeypatch.setattr(quarantine, "_RATIO", 1 << 30)  # past the walk
    monkeypatch.setattr(quarantine, "_SECONDS", 1)
    monkeypatch.setattr(quarantine, "_PATIENCE", 1)
    began = time.monotonic()

    with pytest.raises(BadSnapshot, match="time or memory"):
        entered(time_bomb())

    assert time.monotonic() - began < 10


@linux_only
def test_a_limit_of_time_to_read_the_tip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking is within it, for git then goes from delta to delta; reading is not."""
    monkeypatch.setattr(quarantine, "_SECONDS", 4)
    began = time.monotonic()

    with pytest.raises(BadSnapshot, match="time or memory"):
        entered(chained_folders(1500))

    assert time.monotonic() - began < 10


def test_git_that_has_ended_does_not_answer(tmp_path: Path) -> None:
    ids = [bytes([number]) * 20 for number in range(100)]

    with Git(tmp_path).start("version") as process:
        process.wait()
        assert process.stdout
        process.stdout.read()
        with pytest.raises(BadSnapshot, match="time or memory"):
            next(_objects(process, ids, b"tree"))


@pytest.mark.parametrize("files", [1, 20_000])
def test_git_that_ends_before_it_has_told_all_sizes(files: int, tmp_path: Path) -> None:
    """At the end, and while more is asked than a pipe holds."""
    content = flat(files)
    most = Most(1 << 30, 1_000_000)

    with quarantined([content], size=len(content)) as incoming:

        @contextmanager
        def start(*words: str, stdout: IO[bytes] | None = None) -> Iterator[Process]:
            with incoming.git.start(*words, stdout=stdout) as process:
                if stdout:
                    kill(process)
                    process.wait()
                yield process

        with pytest.raises(BadSnapshot, match="time or memory"):
            check_tip(start, incoming.commit, most, tmp_path)


def test_more_may_be_allowed() -> None:
    """240 MB in one piece, to which a delta adds nothing."""
    pack = Pack()
    size = 15 * MIB
    blob = pack.blob(bytes(size))
    pack.delta(taken(0, size) * 16, size, size * 16)
    content = pack.bundle(pack.commit(pack.tree(("100644", b"file", blob))))

    with pytest.raises(BadSnapshot, match="time or memory"):
        entered(content)
    assert entered(content, max_unpacked=16 << 30).size == size


def test_limits_are_the_callers() -> None:
    content = flat(50)

    assert entered(content, max_entries=50, max_unpacked=100).entries == 50
    with pytest.raises(BadSnapshot, match="more than 49 files"):
        entered(content, max_entries=49)
    with pytest.raises(BadSnapshot, match="100 bytes, more than the 99 allowed"):
        entered(content, max_unpacked=99)


@pytest.mark.parametrize(
    "words",
    [
        b"fatal: write error: No space left on device\n",
        b"fatal: sha1 file 'tmp_idx_1' write error. Out of diskspace\n",
    ],
)
def test_a_full_disk_is_not_the_bundles_fault(words: bytes) -> None:
    assert isinstance(index_pack._refusal(128, words), GitError)


# --- names: our own look, whatever git's finds ---


@pytest.mark.parametrize("name", [*DOT_GIT, *ELSEWHERE], ids=ascii)
def test_names_of_another_place(name: bytes) -> None:
    with pytest.raises(BadSnapshot, match="another place"):
        check_name(name)


@pytest.mark.parametrize("name", UNUSUAL, ids=ascii)
def test_names_that_are_only_unusual(name: bytes) -> None:
    check_name(name)


OURS = re.compile(r"(named|nested) b|mode \d|below a symlink by|below a symlink on|folders deep")


@pytest.mark.parametrize("name", [name for name in CASES if OURS.match(name)])
def test_what_git_would_let_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own checks off, the newest tree is found bad all the same."""
    monkeypatch.setattr(index_pack, "_STRICT", "--threads=1")
    case = CASES[name]

    if case.refused:
        with pytest.raises(BadSnapshot):
            entered(case.build())
    else:
        entered(case.build())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "A"),
        ("a", "a."),
        ("a", "a . "),
        ("\u00fc", "u\u0308"),
        ("\u00dc", "u\u0308"),
        ("a", "a\u200c"),
        ("\u03c3", "\u03c2"),
        ("\u212a", "k"),
        ("\u00df", "SS"),
    ],
)
def test_names_that_some_file_system_takes_for_one(one: str, other: str) -> None:
    assert folded(one.encode()) == folded(other.encode())


def test_names_that_none_does() -> None:
    names = [b"a", b"b", b"a b", b".a", b"\xff", b"\xfe", "\u00e4".encode(), b"a\\b"]

    assert len({folded(name) for name in names}) == len(names)


# --- the walk, for systems without limits ---


def walk(pieces: Iterable[bytes], size: int, *, memory: int = 200, work: int = 1024) -> bytes:
    """Limits in MiB."""
    return b"".join(watched(pieces, size, "sha1", memory=memory * MIB, work=work * MIB))


def pack_of(content: bytes) -> bytes:
    return content[content.index(b"\n\n") + 2 :]


def deltas(repo: Folder) -> bytes:
    """A real pack with deltas in it."""
    chance = random.Random(1)
    lines = [f"{chance.random()}\n" for _ in range(400)]
    for number in range(12):
        lines[chance.randrange(400)] = f"changed {number}\n"
        repo.write("long", "".join(lines))
        repo.commit()
    repo.git("repack", "-adfq")
    content = bundled(repo)
    return pack_of(content)


def test_the_walk_passes_on_every_byte(repo: Folder) -> None:
    pack = deltas(repo)

    for length in (1, 7, 4096, len(pack)):
        assert walk(cut(pack, length), len(pack)) == pack


@pytest.mark.parametrize(("algorithm", "width"), [("sha1", 20), ("sha256", 32)])
def test_the_walk_steps_over_the_id_of_a_base(algorithm: str, width: int) -> None:
    pack = Pack(algorithm)
    pack.add(7, 4, zlib.compress(b"\2\2\x90\2"), b"\xff" * width)
    pack.blob()
    content = pack.packed()

    passed = watched([content], len(content), algorithm, memory=MIB, work=MIB)

    assert b"".join(passed) == content


def test_the_walk_adds_up_what_deltas_make(repo: Folder) -> None:
    pack = deltas(repo)
    sizes = repo.git("cat-file", "--batch-all-objects", "--batch-check=%(objectsize)")
    unpacked = sum(map(int, sizes.split()))

    assert b"".join(watched([pack], len(pack), "sha1", memory=MIB, work=2 * unpacked)) == pack
    with pytest.raises(BadSnapshot, match="time or memory"):
        list(watched([pack], len(pack), "sha1", memory=MIB, work=unpacked - 1))


def delta_on_a_large_file() -> bytes:
    """The file alone is never held, but the base of a delta is."""
    pack = Pack()
    pack.blob(bytes(70 * MIB))
    pack.delta(taken(0, 10), 70 * MIB, 10)
    return pack.packed()


@pytest.mark.parametrize(
    ("pack", "problem"),
    [
        (small()[0].packed(2**32 - 1), "damaged"),
        (delta_on_a_large_file(), "time or memory"),
        (pack_of(entry_of(3, 5, zlib.compress(bytes(MIB)))), "damaged"),
        (pack_of(entry_of(6, 0, zlib.compress(b""), b"\1")), "damaged"),
        (pack_of(entry_of(6, 0, zlib.compress(b""), b"\xff" * MIB)), "damaged"),
    ],
    ids=["count", "base", "size", "delta", "number"],
)
def test_the_walk_refuses(pack: bytes, problem: str) -> None:
    with pytest.raises(BadSnapshot, match=problem):
        walk([pack], len(pack))


def test_the_walk_refuses_more_objects_than_git_can_hold() -> None:
    pack = Pack()
    for number in range(20):
        pack.blob(b"%d" % number)
    content = pack.packed()

    assert walk([content], len(content), memory=1)
    with pytest.raises(BadSnapshot, match="time or memory"):
        list(watched([content], len(content), "sha1", memory=1000, work=MIB))


def test_the_walk_refuses_before_it_passes_on() -> None:
    pack = pack_of(memory_bomb())
    passed: list[bytes] = []

    with pytest.raises(BadSnapshot, match="time or memory"):
        passed.extend(watched(cut(pack, 100), len(pack), "sha1", memory=200 * MIB, work=8 << 30))

    assert len(passed) * 100 < len(pack) - 200  # neither the delta nor what lies behind it
