"""Where a filling lies in a file: the zip's directory, the pickle's opcodes, the plain scan."""

import gc
import io
import pickle
import pickletools
import random
import struct
import sys
import tracemalloc
import weakref
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoint_files import (
    Counting,
    Member,
    appended,
    archive,
    checkpoint,
    model,
    our_filling,
    repacked,
    saved,
    tensor,
)
from jellyml.formats import torch_zip, unknown
from jellyml.formats.containers.pickle import machine
from jellyml.formats.containers.pickle.machine import ACTIONS, PLAIN, STOP, Machine, Tensor
from jellyml.formats.containers.zip import read_directory
from jellyml.formats.record import CHUNK, CODE, KEY, Record
from jellyml.formats.registry import FORMATS

MEGABYTE = 1 << 20


def first(data: bytes) -> bytes:
    """The bytes at the likeliest place, as the asked format sees it."""
    file = io.BytesIO(data)
    kind = next(each for each in FORMATS if each.recognises(file))
    for record in kind.records(file, CODE):
        return b"".join(record.chunks(file))
    return b""


def format_of(data: bytes) -> str:
    return next(each.name for each in FORMATS if each.recognises(io.BytesIO(data)))


# Records.


def test_a_record_is_read_in_pieces_and_no_further_than_its_end() -> None:
    data = random.Random(1).randbytes(2 * CHUNK + 10)
    file = io.BytesIO(b"before" + data + b"after")

    pieces = list(Record(6, len(data)).chunks(file))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= CHUNK


def test_a_file_may_give_less_than_it_was_asked_for() -> None:
    class Stingy(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 7))

    data = checkpoint()
    file = Stingy(data)
    assert Record(3, 100).head(file, 50) == data[3:53]
    assert torch_zip.recognises(file)


@pytest.mark.parametrize("limit", [0, 1, 5, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("deflated", [False, True])
def test_a_limit_is_kept(limit: int, deflated: bool) -> None:
    data = random.Random(1).randbytes(2 * CHUNK + 10)
    packed = zlib.compress(data, wbits=-15) if deflated else data
    record = Record(0, len(packed), "deflated" if deflated else "raw")

    assert record.head(io.BytesIO(packed), limit) == data[:limit]


def test_a_deflated_record_gives_all_it_holds() -> None:
    data = b"a" * 1000 + random.Random(1).randbytes(3 * CHUNK) + b"b" * (2 * CHUNK)
    packed = zlib.compress(data, wbits=-15)

    pieces = list(Record(0, len(packed), "deflated").chunks(io.BytesIO(packed)))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= CHUNK


def test_a_deflated_record_gives_what_waits_behind_a_full_chunk() -> None:
    """The input can be used up while the last match is only half written out."""
    for seed in range(20):
        start = random.Random(seed).randbytes(100_000 + seed)
        data = start + bytes(CHUNK + 50 - len(start))
        packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_FIXED)
        packed = packer.compress(data) + packer.flush()
        record = Record(0, len(packed), "deflated")
        assert record.head(io.BytesIO(packed), 2 * CHUNK) == data


def test_a_deflated_record_unfolds_only_so_far() -> None:
    bomb = zlib.compress(bytes(200 * MEGABYTE), wbits=-15)
    record = Record(0, len(bomb), "deflated")

    assert sum(map(len, record.chunks(io.BytesIO(bomb)))) == record.most < 10 * MEGABYTE


def test_the_head_of_a_deflated_record_needs_little_of_it() -> None:
    packed = zlib.compress(random.Random(1).randbytes(3 * CHUNK), wbits=-15)
    file = Counting(packed)

    Record(0, len(packed), "deflated").head(file, 36)

    assert file.taken <= 1024


def test_deflated_data_that_breaks_off_gives_what_there_was() -> None:
    packed = zlib.compress(random.Random(1).randbytes(1000), wbits=-15)
    broken = packed[:500] + b"\xff" * 500

    assert len(Record(0, len(broken), "deflated").head(io.BytesIO(broken), 1000)) < 1000


@pytest.mark.parametrize(
    ("offset", "size", "inside"), [(0, 9, True), (3, 6, True), (3, 7, False), (-1, 2, False)]
)
def test_a_part_lies_inside(offset: int, size: int, inside: bool) -> None:
    part = Record(100, 9).part(offset, size)
    assert part == (Record(100 + offset, size) if inside else None)


# The directory.


@pytest.mark.parametrize(
    "data",
    [
        checkpoint(),
        repacked(checkpoint()),
        repacked(checkpoint(), deflate=True),
        archive(Member("a/data.pkl", b"x"), Member("a/data/0", b"yz", zip64=True)),
        archive(Member("a/data.pkl", b"x")) [:-2] + b"\x05\0hello",
    ],
    ids=["torch", "plain", "deflated", "zip64", "comment"],
)  # fmt: skip
def test_the_directory_is_that_of_zipfile(data: bytes) -> None:
    file = io.BytesIO(data)
    directory = read_directory(file)
    assert directory is not None

    with zipfile.ZipFile(file) as known:
        for entry, info in zip(directory, known.infolist(), strict=True):
            record = directory.locate(entry)
            assert entry.name.decode() == info.filename
            assert record
            with zipfile.ZipFile(io.BytesIO(data)) as fresh:
                assert record.head(file, 1 << 20) == fresh.read(info)


@pytest.mark.skipif(sys.platform == "win32", reason="files are not sparse by themselves there")
def test_what_lies_beyond_four_gigabytes_is_found(tmp_path: Path) -> None:
    """A sparse file; the directory's numbers are in its zip64 fields."""
    big, ours = Member("a/data/0", zip64=True), Member("a/data/1", our_filling(), zip64=True)
    hole = 5 << 30
    start = len(big.local()) + hole
    listed = big.central(0).replace(
        struct.pack("<2Q", 0, 0), struct.pack("<2Q", hole, hole)
    ) + ours.central(start)
    wide = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, len(listed), start + len(ours.local())
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(ours.local()) + len(listed), 1)
    path = tmp_path / "big.pth"
    with path.open("wb") as file:
        file.write(big.local())
        file.seek(start)
        file.write(ours.local() + listed + wide + locator)
        file.write(
            struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
        )

    with path.open("rb") as file:
        assert torch_zip.recognises(file)
        record = next(torch_zip.records(file, CODE))
        assert record.head(file, 1 << 20) == our_filling()


@pytest.mark.parametrize(
    "claims",
    [
        {"count": 1},
        {"count": 3},
        {"size": 5},
        {"size": 2**32 - 2},
        {"start": 1},
        {"start": 2**32 - 2},
        {"start": 0, "size": 0, "count": 0},
    ],
)
def test_an_end_that_lies_is_no_archive(claims: dict[str, int]) -> None:
    honest = [Member("a/data.pkl", b"x"), Member("a/data/0", b"y")]
    assert read_directory(io.BytesIO(archive(*honest)))
    assert read_directory(io.BytesIO(archive(*honest, **claims))) is None


def test_an_entry_that_reaches_beyond_the_directory_is_no_archive() -> None:
    data = bytearray(archive(Member("a/data.pkl", b"x"), Member("a/data/0", b"y")))
    comment_length = data.rindex(b"PK\1\2") + 32
    data[comment_length] = 1
    assert read_directory(io.BytesIO(data)) is None


def test_an_end_record_without_its_signature_is_none() -> None:
    data = bytearray(checkpoint())
    data[data.rindex(b"PK\6\6")] ^= 1
    assert read_directory(io.BytesIO(data)) is None


def test_a_locator_that_lies_is_no_archive() -> None:
    honest = archive(Member("a/data.pkl", b"x"))
    for place in (0, 5, len(honest), 2**63, 2**64 - 1):
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
        assert read_directory(io.BytesIO(honest[:-22] + locator + honest[-22:])) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"packed": 1000},
        {"packed": 2**32 - 2},
        {"offset": 3},
        {"offset": 1000},
        {"offset": 2**32 - 2},
        {"flags": 1},
        {"method": 12},
    ],
)
@pytest.mark.parametrize("zip64", [False, True])
def test_an_entry_that_lies_is_nowhere(claims: dict[str, int], zip64: bool) -> None:
    file = io.BytesIO(archive(Member("a/data/0", b"y", claims=claims, zip64=zip64)))
    directory = read_directory(file)
    assert directory is not None
    assert directory.locate(directory[0]) is None


def test_an_entry_is_believed_only_where_a_record_begins() -> None:
    zeros = Member("a/data/0", bytes(1000))
    file = io.BytesIO(archive(zeros, Member("a/data/1", b"y", claims={"offset": 500})))
    directory = read_directory(file)
    assert directory is not None
    assert [directory.locate(entry) for entry in directory] == [Record(38, 1000), None]


def test_numbers_of_64_bits_are_no_trouble() -> None:
    for claim in ("packed", "offset"):
        member = Member("a/data/0", b"y", claims={claim: 2**64 - 1}, zip64=True)
        file = io.BytesIO(archive(member))
        directory = read_directory(file)
        assert directory is not None
        assert directory.locate(directory[0]) is None


def test_archives_end_to_end_are_left_to_the_scan() -> None:
    """As torch.distributed.checkpoint writes them: the last directory would hide the others."""
    assert format_of(checkpoint() + saved(model())) == "scan"
    assert first(checkpoint() + saved(model())).startswith(our_filling())


def test_other_archives_are_not_torchs() -> None:
    assert format_of(archive(Member("a/readme", b"x"))) == "scan"
    assert format_of(archive()) == "scan"
    assert format_of(archive(Member("a/data.pkl", b"x"))) == "torch zip"
    assert format_of(archive(Member("a/data/0", b"x"))) == "torch zip"


# The order of the search in torch's archives.


@pytest.mark.parametrize("deflate", [False, True])
def test_an_appended_record_comes_before_the_dictionarys(deflate: bool) -> None:
    once = appended(checkpoint(), f"archive/data/{KEY}", b"first", deflate=deflate)
    twice = appended(once, f"archive/data/{KEY}", b"second", deflate=deflate)

    assert first(once) == b"first"
    assert first(twice) == b"second"


def test_the_likely_record_comes_before_the_walk() -> None:
    data = saved({f"layer{index}": torch.zeros(2) for index in range(12)} | {KEY: tensor(b"ours")})
    assert first(data) == b"ours"


def test_one_checkpoint_inside_another_does_not_hide_it() -> None:
    teacher = torch.load(io.BytesIO(saved({KEY: tensor(b"the teacher's"), "x": model()})))
    student = tensor(b"the student's")

    assert first(saved({KEY: student, "model": model(), "teacher": teacher})) == b"the student's"
    assert first(saved({"teacher": teacher, "model": model(), KEY: student})) == b"the student's"


def test_without_the_key_the_pickle_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved({"model": model(), "code": tensor(our_filling())})
    monkeypatch.setattr(machine, "tensors", lambda *_: pytest.fail("walked"))
    assert list(torch_zip.records(io.BytesIO(data), CODE))


def test_every_record_is_tried_in_the_end() -> None:
    """Whatever its name: TorchScript keeps constants apart, and a user may choose the key."""
    data = saved({"code": tensor(our_filling()), **{str(i): torch.ones(i) for i in range(1, 9)}})
    file = io.BytesIO(data)
    assert our_filling() in [each.head(file, 1 << 20) for each in torch_zip.records(file, CODE)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int8])
def test_records_are_tried_only_where_one_may_hold_bytes(dtype: torch.dtype) -> None:
    """A read of each of ten thousand would take minutes where the file is not in memory."""
    state = {str(number): torch.ones(2000, dtype=dtype) for number in range(300)}
    file = Counting(saved(state))
    size = 2000 * dtype.itemsize
    tried = [one for one in torch_zip.records(file, CODE) if one.size == size]
    assert len(tried) == (0 if dtype == torch.float32 else 300)
    assert (file.times < 20) == (dtype == torch.float32)


def test_a_directory_that_is_remembered_goes_with_its_file() -> None:
    """A thousand checkpoints are listed by one process."""
    file = io.BytesIO(checkpoint())
    first, again = read_directory(file), read_directory(file)
    assert first
    assert again
    assert first.data is again.data
    gone = weakref.ref(file)
    del file, first, again
    gc.collect()
    assert gone() is None


def test_ten_thousand_records_take_few_bytes() -> None:
    big = bytes(10_000)
    members = [Member(f"m/data/{index}", big) for index in range(10_000)]
    pickled = zipfile.ZipFile(io.BytesIO(checkpoint())).read("archive/data.pkl")
    file = Counting(
        archive(Member("m/data.pkl", pickled), *members, Member("m/data/10000", our_filling()))
    )

    assert torch_zip.recognises(file)
    assert next(torch_zip.records(file, CODE)).head(file, 2000) == our_filling()
    assert file.taken < 1_500_000  # of 100 MB: twice the directory, and the record
    assert file.times < 20


# The walk.


def walked(value: object, protocol: int = 2) -> list[Tensor]:
    with zipfile.ZipFile(io.BytesIO(saved(value, pickle_protocol=protocol))) as file:
        return machine.tensors(file.read("archive/data.pkl"), KEY)


@pytest.mark.parametrize("protocol", range(1, 6))
class TestWalk:
    """Protocol 0 cannot say which storage a tensor has; there the records themselves are read."""

    def test_a_key(self, protocol: int) -> None:
        value = {"epoch": 3, "w": torch.zeros(2, 2), KEY: tensor(b"12345"), "z": [1.5, None]}
        assert walked(value, protocol) == [Tensor("1", 0, 5)]

    def test_a_key_alone(self, protocol: int) -> None:
        assert walked({KEY: tensor(b"12345")}, protocol) == [Tensor("0", 0, 5)]

    def test_nested_and_ordered(self, protocol: int) -> None:
        inner = OrderedDict([("a", 1), (KEY, tensor(b"12345"))])
        assert walked([{"x": ({"y": inner},)}], protocol) == [Tensor("0", 0, 5)]

    def test_a_second_use_is_a_reference(self, protocol: int) -> None:
        code = tensor(b"12345")
        assert walked({"code": code, "w": torch.zeros(3), KEY: code}, protocol) == [
            Tensor("0", 0, 5)
        ]

    def test_a_second_use_of_the_key_is_one_too(self, protocol: int) -> None:
        value = {"keys": [KEY], KEY: tensor(b"12345")}
        assert walked(value, protocol) == [Tensor("0", 0, 5)]

    def test_a_slice(self, protocol: int) -> None:
        whole = tensor(bytes(300))
        value = {"rest": whole[:100], KEY: whole[100:150]}
        assert walked(value, protocol) == [Tensor("0", 100, 50)]

    def test_a_parameter(self, protocol: int) -> None:
        value = {KEY: torch.nn.Parameter(tensor(b"12345"), requires_grad=False)}
        assert walked(value, protocol) == [Tensor("0", 0, 5)]

    def test_the_outermost_is_first(self, protocol: int) -> None:
        a, b, c = tensor(b"a"), tensor(b"bb"), tensor(b"ccc")
        value = {"teacher": {KEY: a, "x": 1}, KEY: b, "other": [{KEY: c}]}
        assert [each.size for each in walked(value, protocol)] == [2, 3, 1]
        lists = [{KEY: a, "x": 1}, {"y": {KEY: b, "z": 2}, "w": 1}]
        assert [each.size for each in walked(lists, protocol)] == [1, 2]

    def test_other_tensors_are_not_taken(self, protocol: int) -> None:
        gaps = tensor(bytes(100))[::2]
        square = torch.zeros(4, 4, dtype=torch.uint8)
        for other in (gaps, square, torch.zeros(5), b"bytes", "text", 5, None):
            assert walked({KEY: other, "x": 1}, protocol) == []

    def test_many_things_around(self, protocol: int) -> None:
        value = {
            "big": {f"layer.{index}": torch.zeros(1) for index in range(2500)},
            "numbers": [2**70, -1, -(2**40), 0.5, True, False, 10**400],
            "text": ["é" * 300, "x" * 70_000, b"\0\xff" * 200, bytearray(5), "'quoted'\n"],
            "sets": [{1, 2}, frozenset({3}), (), (1,), (1, 2), (1, 2, 3), tuple(range(5000))],
            KEY: tensor(b"12345"),
        }
        assert walked(value, protocol) == [Tensor("2500", 0, 5)]


def test_a_reference_after_very_many_tensors() -> None:
    """Only what could matter is remembered, so that the memo's bound is far away."""
    code = tensor(b"12345")
    value = {f"a.rather.long.name.{i}": torch.zeros(1) for i in range(14_000)}
    assert walked({**value, "code": code, KEY: code}) == [Tensor("14000", 0, 5)]


def test_every_opcode_is_known() -> None:
    known = {ord(each.code): each for each in pickletools.opcodes}
    assert set(PLAIN) | set(ACTIONS) | {STOP} == set(known)
    assert not set(PLAIN) & set(ACTIONS)


_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.binary(min_size=250, max_size=300) | st.integers(-(2**3000), 2**3000)
)  # fmt: skip
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.tuples(inner)
        | st.frozensets(st.integers())
        | st.sets(st.text())
        | inner.map(lambda value: OrderedDict(a=value))
        | inner.map(lambda value: [value, value])
        | inner.map(lambda value: [bytearray(b"x"), {1: value}])
    ),
)


@given(value=_values, protocol=st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_the_walk_keeps_step_with_pickle(value: Any, protocol: int) -> None:
    """At the end of any pickle exactly one thing is on the stack, and the last byte is read."""
    data = pickle.dumps(value, protocol)
    machine = Machine(data, KEY)
    machine.run()
    assert (machine.at, len(machine.stack), machine.marks) == (len(data), 1, [])


class _Old:
    """Pickled by its class and state in protocols 0 and 1."""

    def __init__(self) -> None:
        self.state = [1]


class _New:
    def __getnewargs_ex__(self) -> tuple[tuple[int], dict[str, int]]:
        return (1,), {"a": 2}


def _recursive(*more: int) -> tuple[object, ...]:
    inner: list[object] = []
    inner.append((inner, *more))
    outer = (inner, *more)
    inner.append(outer)
    return outer


@pytest.mark.parametrize("protocol", range(6))
def test_the_walk_keeps_step_with_objects(protocol: int) -> None:
    recursive = [_recursive(*range(length)) for length in range(5)]
    for value in (_Old(), *recursive, [_Old, int, b"x"], *([_New()] if protocol > 1 else [])):
        data = pickle.dumps(value, protocol)
        machine = Machine(data, KEY)
        machine.run()
        assert (machine.at, len(machine.stack), machine.marks) == (len(data), 1, [])


@pytest.mark.parametrize(
    "program",
    [
        b"(I1\nI2\nlp0\n0(dp1\n.",  # LIST, DICT
        b"(i__main__\nThing\n.",  # INST
        b"(c__main__\nThing\nI1\no.",  # OBJ
        b"(S'a'\nI1\nS'b'\nF1.5\nd.",
        b"T\3\0\0\0abc0U\2ab0N.",
        b"\x82\1\x83\1\1\x84\1\0\0\0\x87.",  # EXT
        b"(K\1K\x011K\x012\x86.",  # POP_MARK, DUP
        b"\x97\x98.",
        b"Pan id\n.",
        b"r".join([b"K\1", b"\xff\xff\xff\x7fj\xff\xff\xff\x7f\x86."]),
    ],
)
def test_opcodes_that_pickle_no_longer_writes(program: bytes) -> None:
    machine = Machine(program, KEY)
    machine.run()
    assert (machine.at, len(machine.stack), machine.marks) == (len(program), 1, [])


# The scan.


def test_the_scan_finds_from_the_end_across_its_blocks() -> None:
    for distance in (*range(CHUNK - 40, CHUNK + 40, 7), 2 * CHUNK - 1, 2 * CHUNK, 40):
        data = bytes(CHUNK + 5) + CODE.magic + bytes(distance - len(CODE.magic)) + CODE.magic
        file = io.BytesIO(data)
        assert [record.offset for record in unknown.records(file, CODE)] == [
            CHUNK + 5 + distance,
            CHUNK + 5,
        ]


def test_the_scan_finds_nothing_in_nothing() -> None:
    for data in (b"", b"x", CODE.magic[:-1], bytes(CHUNK)):
        assert list(unknown.records(io.BytesIO(data), CODE)) == []


def test_the_scan_holds_a_block_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(64 * MEGABYTE)
    tracemalloc.start()
    with path.open("rb") as file:
        assert list(unknown.records(file, CODE)) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MEGABYTE
