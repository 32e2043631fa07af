"""Whatever a file says of itself: the right bytes or a JellyError, in bounded time and memory."""

import io
import os
import pickle
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpoint_files import (
    FIXTURES,
    Member,
    appended,
    archive,
    bundle,
    digest,
    header_with,
    model,
    our_filling,
    saved,
    tensor,
)
from jellyml.checkpoint import Checkpoint
from jellyml.code import filling
from jellyml.errors import BadSnapshot, JellyError, NoSnapshot
from jellyml.formats import CODE, FORMATS, KEY, MANIFEST_KEY, pickle_walk
from jellyml.formats.pickle_walk import Tensor

MEGABYTE = 1 << 20
SEED = 20230107

RECORDED = filling.manifest_record({"commit": "1" * 40, "note": "made here"})
SAVED = {"model": model(), KEY: tensor(our_filling()), MANIFEST_KEY: tensor(RECORDED)}
FILES = {
    "torch zip": saved(SAVED),
    "legacy": saved(SAVED, _use_new_zipfile_serialization=False),
    "appended": appended(saved(model()), f"archive/data/{KEY}", our_filling()),
    "deflated": appended(saved(model()), f"archive/data/{KEY}", our_filling(), deflate=True),
}


@contextmanager
def bounded(*, megabytes: int = 64, seconds: float = 5) -> Iterator[None]:
    """The block stays within these, or the test fails."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        took, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MEGABYTE, f"{peak >> 20} MB"
    assert took < seconds


def opened(path: Path, data: bytes) -> tuple[bytes | None, dict[str, object] | None]:
    """The code and the manifest, None for what a JellyError refused."""
    path.write_bytes(data)
    try:
        found = Checkpoint.open(path)
        code = b"".join(found.bundle())
    except JellyError as error:
        assert error.problem
        assert error.fix
        return None, None
    try:
        return code, found.manifest
    except JellyError:
        return code, None


@pytest.mark.parametrize("kind", FILES)
def test_cut_off_anywhere(kind: str, tmp_path: Path) -> None:
    data = FILES[kind]
    for size in range(0, len(data), 97):
        code, _ = opened(tmp_path / "model.pth", data[:size])
        assert code in (None, bundle())


@pytest.mark.parametrize("kind", FILES)
def test_bits_flipped_anywhere(kind: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    outcomes = []
    for _ in range(200):
        data = bytearray(FILES[kind])
        for _ in range(chance.choice((1, 1, 1, 5, 50))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        code, manifest = opened(tmp_path / "model.pth", bytes(data))
        assert code in (None, bundle())
        assert manifest in (None, {"commit": "1" * 40, "note": "made here"})
        outcomes.append(code)
    assert None in outcomes
    assert bundle() in outcomes


def test_bits_flipped_in_a_file_of_1_0(tmp_path: Path) -> None:
    """It has no digest: git's own, at the end of the pack, will tell; the size is right here."""
    chance = random.Random(SEED)
    original = (FIXTURES / "written_by_1_0_clean.pth").read_bytes()
    for _ in range(200):
        data = bytearray(original)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        code, _ = opened(tmp_path / "model.pth", bytes(data))
        assert code is None or code.startswith((b"# v2 git bundle\n", b"# v3 git bundle\n"))


@pytest.mark.parametrize("kind", FILES)
def test_numbers_replaced_by_lies(kind: str, tmp_path: Path) -> None:
    """Every four and every eight bytes of the archive's directory, by the worst there are."""
    data = FILES[kind]
    for width in (2, 4, 8):
        for place in range(max(0, len(data) - 700), len(data) - width):
            for lie in (b"\xff" * width, b"\0" * width):
                code, _ = opened(tmp_path / "model.pth", data[:place] + lie + data[place + width :])
                assert code in (None, bundle())


@given(st.binary(max_size=400))
def test_any_bytes_at_all(data: bytes) -> None:
    for start in (b"", b"PK\3\4", CODE.magic):
        file = io.BytesIO(start + data)
        for each in FORMATS:
            if each.recognises(file):
                assert [record.head(file, 10) for record in each.records(file, CODE)] != None
    pickle_walk.tensors(data, KEY)


# Bombs.


def bomb(size: int, *, sha256: str | None = None) -> bytes:
    """A header and a bundle's first line that are right, then a gigabyte of zeros, deflated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = b"# v2 git bundle\n"
    packed = packer.compress(header_with(snapshot_size=size + len(start), sha256=sha256) + start)
    zeros = bytes(16 * MEGABYTE)
    packed += b"".join(packer.compress(zeros) for _ in range(size // len(zeros)))
    return packed + packer.flush()


class Packed(Member):
    """A record whose data is deflated already."""

    def packed(self) -> bytes:
        return self.data


BOMB = bomb(1 << 30)


def test_a_bomb_behind_a_valid_header(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(archive(Packed("m/data/0", BOMB, deflate=True)))
    with bounded(), pytest.raises(BadSnapshot, match="cut off"):
        Checkpoint.open(path)


def test_many_bombs_in_one_place(tmp_path: Path) -> None:
    one = Packed("m/data/0", BOMB, deflate=True)
    others = (Packed(f"m/data/{i}", BOMB, deflate=True, at=0) for i in range(1, 1000))
    path = tmp_path / "model.pth"
    path.write_bytes(archive(one, *others))
    with bounded(), pytest.raises(BadSnapshot):
        Checkpoint.open(path)


def test_a_bomb_in_the_pickles_place(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = zeros.compress(b"N" * (200 * MEGABYTE)) + zeros.flush()
    path.write_bytes(archive(Packed("m/data.pkl", data, deflate=True)))
    with bounded(), pytest.raises(NoSnapshot):
        Checkpoint.open(path)


# Numbers.


def many(count: int, *extra: Member, same_place: bool = False) -> bytes:
    """As many entries, made quickly."""
    local = Member("m/data/0", b"four").local()
    directory = bytearray()
    for index in range(count):
        name = b"m/data/%d" % index
        start = 0 if same_place else index * len(local)
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 4, 4, len(name), 0, 0, 0, 0, 0, start
        )
        directory += name
    data = bytearray(local if same_place else local * count)
    for member in extra:
        directory += member.central(len(data))
        data += member.local()
    total = count + len(extra)
    wide = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, total, total, len(directory), len(data)
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(data) + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    return bytes(data + directory + wide + locator + end)


@pytest.mark.parametrize("same_place", [False, True])
def test_a_hundred_thousand_entries(same_place: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    ours = Member("m/data/100000", our_filling())
    path.write_bytes(many(100_000, ours, same_place=same_place))
    with bounded(seconds=10):
        assert b"".join(Checkpoint.open(path).bundle()) == bundle()

    path.write_bytes(many(100_000, same_place=same_place))
    with bounded(seconds=15), pytest.raises(NoSnapshot):
        Checkpoint.open(path)


def test_a_directory_beyond_all_measure_is_left_to_the_scan(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(many(700_000, Member("m/data/x", our_filling()), same_place=True))
    with bounded(seconds=10):
        assert b"".join(Checkpoint.open(path).bundle()) == bundle()


# Headers that lie, many of them.


def test_a_file_full_of_the_magic_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(CODE.magic * (10 * MEGABYTE // len(CODE.magic)))
    with bounded(), pytest.raises(BadSnapshot):
        Checkpoint.open(path)


def test_headers_inside_one_another_are_not_all_followed(tmp_path: Path) -> None:
    """Each claims all the rest of the file: to check every digest would be quadratic."""
    path = tmp_path / "model.bin"
    count, block = 900, 40_000
    total = count * block
    with path.open("wb") as file:
        for index in range(count):
            rest = total - index * block - 1024
            head = header_with(snapshot_size=rest, sha256="0" * 64)
            file.write((head + b"# v2 git bundle\n").ljust(block, b"x"))
    with bounded(), pytest.raises(BadSnapshot, match="full of wrong snapshot headers"):
        Checkpoint.open(path)


def test_a_wrong_header_costs_no_memory_afterwards(tmp_path: Path) -> None:
    """The complaint that is kept holds no chunk of the file by its traceback."""
    path = tmp_path / "model.bin"
    wrong = (header_with(snapshot_size=1016, sha256="0" * 64) + b"# v2 git bundle\n").ljust(2040)
    path.write_bytes(our_filling() + wrong * 900)
    with bounded(megabytes=8):
        assert Checkpoint.open(path).passed_over


# Pickles.


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_pickle_that_would_run_is_no_reason_to_refuse(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    program = Runs(f"touch {trace}")
    pickle.loads(pickle.dumps(program))
    assert trace.exists(), "it does run when it is unpickled"
    trace.unlink()
    path = tmp_path / "model.pth"

    for legacy in (False, True):
        for value in ({"evil": program, **SAVED}, {**SAVED, "evil": program}, {KEY: program}):
            path.write_bytes(saved(value, _use_new_zipfile_serialization=not legacy))
            if value.get(KEY) is program:
                with pytest.raises(NoSnapshot):
                    Checkpoint.open(path)
            else:
                found = Checkpoint.open(path)
                assert b"".join(found.bundle()) == bundle()
                assert found.manifest
                assert found.others == 0
    assert not trace.exists()


def sliced_after(program: bytes) -> bytes:
    """A pickle of the sliced tensor under the key, with this program before it."""
    file = io.BytesIO(saved({"x": 1, KEY: tensor(bytes(50))[10:20]}, pickle_protocol=2))
    directory = FORMATS[0].recognises(file)
    assert directory
    inner = file.getvalue()
    start = inner.index(b"\x80\x02}q\x00(")
    stop = inner.index(b"u.", start) + 2
    return program + inner[start + 2 : stop]


PROGRAMS = {
    "a large index": b"Nr\xff\xff\xff\xff0",
    "many large indices": b"".join(
        b"Nr" + struct.pack("<L", 2**32 - 1 - i) + b"0" for i in range(100_000)
    ),
    "nested tuples": b"N" + b"\x85" * 100_000 + b"0",
    "tuples that double": b"N" + b"2\x86" * 5_000 + b"0",
    "tuples as keys": b"}N" + b"2\x86" * 60 + b"Ns0",
    "long text": b"X" + struct.pack("<L", MEGABYTE) + bytes(MEGABYTE) + b"0",
    "long lines": b"V" + b"x" * MEGABYTE + b"\n0",
    "long numbers": b"I" + b"9" * MEGABYTE + b"\n0",
    "a long integer": b"\x8b" + struct.pack("<L", MEGABYTE) + b"\xff" * MEGABYTE + b"0",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_in_the_way_is_walked_past(program: str) -> None:
    with bounded():
        found = pickle_walk.tensors(sliced_after(PROGRAMS[program]), KEY)
    assert found == [Tensor("0", 10, 10)]


ENDLESS = {
    "marks": b"(" * (16 * MEGABYTE),
    "values": b"N" * (16 * MEGABYTE),
    "copies": b"N" + b"2" * (16 * MEGABYTE),
    "tuples": b"N" + b"\x85" * (16 * MEGABYTE),
    "memos": b"X\4\0\0\0abcd" + b"\x94" * (16 * MEGABYTE),
    "different memos": b"".join(
        b"X\x18\0\0\0%024dr" % i + struct.pack("<L", i + 1000) + b"0" for i in range(400_000)
    ),
    "numbers": b"".join(b"\x8a\7" + struct.pack("<Q", 2**50 + i)[:7] for i in range(1_600_000)),
    "tuples of numbers": b"".join(
        b"(" + b"J\xff\xff\xff\x70\x85" * 8 + b"t" for _ in range(300_000)
    ),
    "lists": b"](" * (8 * MEGABYTE),
    "hits": sliced_after(b"")[:-2] + b"sh" * 5_000_000,
    "frames": b"\x95" + b"\xff" * 8,
    "a length without end": b"\x8d" + b"\xff" * 8,
    "an array without end": b"\x96" + b"\xff" * 7 + b"\x7f",
    "nothing": b"",
    "only pops": b"0" * (4 * MEGABYTE),
}


@pytest.mark.parametrize("program", ENDLESS)
def test_a_program_without_end_is_left(program: str) -> None:
    with bounded(megabytes=40, seconds=20):
        pickle_walk.tensors(ENDLESS[program], KEY)


def test_many_hits_are_not_all_kept() -> None:
    tensor_value = sliced_after(b"")
    key = b"X" + struct.pack("<L", len(KEY)) + KEY.encode()
    middle = tensor_value[tensor_value.index(key) : -2]
    program = b"}" + (middle + b"s") * 5_000 + b"."
    assert len(pickle_walk.tensors(program, KEY)) == 1_000


# Texts.


@pytest.mark.parametrize(
    "head",
    [
        CODE.magic + b', "a": ' + b"[" * 100_000,
        CODE.magic + b', "a": ' + b"[" * 400 + b"]" * 400 + b"}",
        CODE.magic + b', "a": "' + b"\\ud800" * 100 + b'"}',
        CODE.magic + b"\0" * 2000,
        CODE.magic,
    ],
)
def test_headers_of_nonsense(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    for data in (head, saved({KEY: tensor(head.ljust(5000, b"\0"))})):
        path.write_bytes(data)
        with pytest.raises(BadSnapshot):
            Checkpoint.open(path)


def test_a_right_digest_of_wrong_things_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    data = b"#!/bin/sh\nrm -rf ~\n"
    path.write_bytes(header_with(snapshot_size=len(data), sha256=digest(data)) + data)
    with pytest.raises(BadSnapshot, match="not a git bundle"):
        Checkpoint.open(path)
