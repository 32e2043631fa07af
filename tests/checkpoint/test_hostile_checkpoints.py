"""Whatever a file says of itself: the right bytes or a JellyError, in bounded time and memory."""

import contextlib
import functools
import io
import os
import pickle
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_files import (
    FIXTURES,
    Member,
    Outcome,
    appended,
    archive,
    bundle,
    digest,
    header_with,
    model,
    opened_alone,
    our_filling,
    saved,
    tensor,
)
from format_samples import FILES as SAMPLES
from jellyml.checkpoint import Checkpoint, find_records
from jellyml.errors import BadSnapshot, JellyError, NoSnapshot
from jellyml.formats.containers.pickle import machine
from jellyml.formats.containers.pickle.machine import Machine, Tensor
from jellyml.formats.record import CODE, KEY, MANIFEST_KEY, Record
from jellyml.formats.registry import FORMATS, format_of
from jellyml.snapshot import serialization

MEGABYTE = 1 << 20
SEED = 20230107


def filled_with(data: bytes) -> bytes:
    file = io.BytesIO(data)
    edit = format_of(file).fill(file, {KEY: our_filling(), MANIFEST_KEY: RECORDED})
    return b"".join(edit.chunks(file))


RECORDED = serialization.manifest_record({"commit": "1" * 40, "note": "made here"})
SAVED = {"model": model(), KEY: tensor(our_filling()), MANIFEST_KEY: tensor(RECORDED)}
FILES = {
    "torch zip": saved(SAVED),
    "legacy": saved(SAVED, _use_new_zipfile_serialization=False),
    "appended": appended(saved(model()), f"archive/data/{KEY}", our_filling()),
    "deflated": appended(saved(model()), f"archive/data/{KEY}", our_filling(), deflate=True),
}
FILES |= {name: filled_with(next(iter(files.values()))) for name, files in SAMPLES.items()}


def judged(path: Path, data: bytes, *, seconds: float = 20, megabytes: int = 48) -> Outcome:
    """What came of it, in a process of its own, and within bounds."""
    path.write_bytes(data)
    outcome = opened_alone(path)
    assert outcome.megabytes < megabytes
    assert outcome.seconds < seconds
    return outcome


def opened(path: Path, data: bytes) -> tuple[bytes | None, dict[str, object] | None]:
    """The code and the manifest, None for what a JellyError refused."""
    path.write_bytes(data)
    code = manifest = None
    with contextlib.suppress(JellyError):
        found = Checkpoint.open(path)
        code = b"".join(found.bundle())
        manifest = found.manifest
    return code, manifest


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
    """Every two, four and eight bytes of the archive's directory, by the worst there are."""
    data = FILES[kind]
    for width in (2, 4, 8):
        for place in range(max(0, len(data) - 300), len(data) - width, width):
            for lie in (b"\xff" * width, b"\0" * width):
                code, _ = opened(tmp_path / "model.pth", data[:place] + lie + data[place + width :])
                assert code in (None, bundle())


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes_at_all(data: bytes) -> None:
    for start in (b"", b"PK\3\4", CODE.magic):
        file = io.BytesIO(start + data)
        for each in FORMATS:
            if each.recognises(file):
                for record in each.records(file, CODE):
                    assert len(record.head(file, 10)) <= 10
    machine.tensors(data, KEY)


# Bombs.


@functools.cache
def bomb() -> bytes:
    """A header and a bundle's first line that are right, then a gigabyte of zeros, deflated."""
    start = b"# v2 git bundle\n"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(header_with(snapshot_size=(1 << 30) + len(start)) + start)
    head += packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(16 * MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + zeros * 64 + packer.flush()


class Packed(Member):
    """A record whose data is deflated already."""

    def packed(self) -> bytes:
        return self.data


def test_a_bomb_behind_a_valid_header(tmp_path: Path) -> None:
    data = archive(Packed("m/data/0", bomb(), deflate=True))
    outcome = judged(tmp_path / "model.pth", data)
    assert (outcome.error, "cut off" in outcome.problem) == ("BadSnapshot", True)


def test_many_bombs_in_one_place(tmp_path: Path) -> None:
    one = Packed("m/data/0", bomb(), deflate=True)
    others = (Packed(f"m/data/{i}", bomb(), deflate=True, at=0) for i in range(1, 1000))
    assert judged(tmp_path / "model.pth", archive(one, *others)).error == "BadSnapshot"


def test_a_bomb_in_the_pickles_place(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(KEY.encode() * (100 * MEGABYTE // len(KEY))) + packer.flush()
    outcome = judged(tmp_path / "model.pth", archive(Packed("m/data.pkl", data, deflate=True)))
    assert outcome.error == "NoSnapshot"


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


def test_a_hundred_thousand_entries(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    ours = Member("m/data/100000", our_filling())
    assert judged(path, many(100_000, ours)).size == len(bundle())
    assert judged(path, many(100_000, same_place=True)).error == "NoSnapshot"


def test_a_pickle_beyond_all_measure_is_not_read_whole(tmp_path: Path) -> None:
    pickled = Member("m/data.pkl", KEY.encode() + b"N" * (80 * MEGABYTE))
    data = archive(pickled, Member("m/data/0", our_filling()))
    assert judged(tmp_path / "model.pth", data).size == len(bundle())


def test_a_directory_beyond_all_measure_is_left_to_the_scan(tmp_path: Path) -> None:
    data = many(700_000, Member("m/data/x", our_filling()), same_place=True)
    assert judged(tmp_path / "model.pth", data).size == len(bundle())


# Headers that lie, many of them.


def test_a_file_full_of_the_magic_bytes(tmp_path: Path) -> None:
    data = CODE.magic * (30 * MEGABYTE // len(CODE.magic))
    assert judged(tmp_path / "model.bin", data).error == "BadSnapshot"


def test_only_so_many_candidates_are_tried() -> None:
    """All of them are remembered, so as not to be tried twice."""
    tried = []

    def refuse(_: BinaryIO, record: Record) -> None:
        tried.append(record.offset)
        raise BadSnapshot("wrong")

    assert list(find_records(io.BytesIO(CODE.magic * 5_000), CODE, refuse, [])) == []
    assert len(tried) == len(set(tried)) == 1_000


def test_headers_inside_one_another_are_not_all_followed(tmp_path: Path) -> None:
    """Each claims all the rest of the file: to check every digest would be quadratic."""
    count, block = 900, 40_000
    file = bytearray()
    for index in range(count):
        rest = (count - index) * block - 1024
        head = header_with(snapshot_size=rest, sha256="0" * 64)
        file += (head + b"# v2 git bundle\n").ljust(block, b"x")
    outcome = judged(tmp_path / "model.bin", bytes(file))
    assert "full of wrong snapshot headers" in outcome.problem


def test_a_complaint_holds_nothing_of_the_file(tmp_path: Path) -> None:
    """Its traceback would keep alive what was read when it was raised."""
    path = tmp_path / "model.bin"
    body = b"# v2 git bundle\n".ljust(MEGABYTE, b"x")
    path.write_bytes(our_filling() + header_with(snapshot_size=len(body), sha256="0" * 64) + body)
    problem = Checkpoint.open(path).damaged
    assert problem
    assert problem.__traceback__ is None


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
    found = machine.tensors(sliced_after(PROGRAMS[program]), KEY)
    assert found == [Tensor("0", 10, 10)]


LONG = 7 * MEGABYTE
ENDLESS: dict[str, Callable[[], bytes]] = {
    "marks": lambda: b"(" * LONG,
    "marks and values": lambda: b"N(" * (LONG // 2),
    "values": lambda: b"N" * LONG,
    "copies": lambda: b"N" + b"2" * LONG,
    "tuples": lambda: b"N" + b"\x85" * LONG,
    "memos": lambda: b"X\4\0\0\0abcd" + b"\x94" * LONG,
    "different memos": lambda: b"".join(
        b"X\x18\0\0\0%024dr" % i + struct.pack("<L", i + 1000) + b"0" for i in range(200_000)
    ),
    "numbers": lambda: b"".join(
        b"\x8a\7" + struct.pack("<Q", 2**50 + i)[:7] for i in range(800_000)
    ),
    "tuples of tuples": lambda: b"".join(
        b"(" + b"J\xff\xff\xff\x70\x85" * 8 + b"t" for _ in range(130_000)
    ),
    "texts": lambda: b"X\x18\0\0\0abcdefghijklmnopqrstuvwx" * 250_000,
    "wide texts": lambda: (b"X" + struct.pack("<L", 704) + "😀".encode() + b"a" * 700) * 10_000,
    "wide lines": lambda: (b"V" + "😀".encode() + b"a" * 700 + b"\n") * 10_000,
    "long tuples": lambda: b"".join(
        b"(" + b"".join(b"J" + struct.pack("<l", 2**30 + i) for i in range(9_000)) + b"t"
        for _ in range(160)
    ),
    "names": lambda: b"c" + b"m" * (LONG // 2) + b"\n" + b"n" * (LONG // 2) + b"\n",
    "empty lists": lambda: b"](" * (LONG // 2),
    "only pops": lambda: b"0" * LONG,
    "a frame without end": lambda: b"\x95" + b"\xff" * 8,
    "a length without end": lambda: b"\x8d" + b"\xff" * 8,
    "an array without end": lambda: b"\x96" + b"\xff" * 7 + b"\x7f",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("program", ENDLESS)
def test_a_program_without_end_is_left(program: str, tmp_path: Path) -> None:
    """The code is found by its record all the same."""
    pickled = Member("m/data.pkl", ENDLESS[program]() + KEY.encode() * 2)
    data = archive(Member("m/data/0", our_filling()), pickled)
    assert judged(tmp_path / "model.pth", data).size == len(bundle())


@pytest.mark.parametrize("program", [b"N", b"(", b"N("])
def test_the_stack_and_its_marks_are_bounded(program: bytes) -> None:
    machine = Machine(program * 100_000, KEY)
    machine.run()
    assert len(machine.stack) + len(machine.marks) == Machine.deepest + 1


def test_the_steps_are_counted() -> None:
    machine = Machine(b"\x98" * 2_100_000, KEY)
    machine.run()
    assert machine.at == Machine.most_steps


def test_many_hits_are_not_all_kept() -> None:
    tensor_value = sliced_after(b"")
    key = b"X" + struct.pack("<L", len(KEY)) + KEY.encode()
    middle = tensor_value[tensor_value.index(key) : -2]
    program = b"}" + (middle + b"s") * 5_000 + b"."
    assert len(machine.tensors(program, KEY)) == 1_000


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
