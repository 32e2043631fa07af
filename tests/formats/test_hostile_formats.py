"""Files of every format that lie: filled, stripped and searched they give CannotCarry at worst."""

import contextlib
import functools
import io
import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from checkpoint_files import Member, archive, our_filling
from format_samples import FILES, array, real
from jellyml.errors import CannotCarry
from jellyml.formats import flax_msgpack, onnx, safetensors
from jellyml.formats.containers import trailer
from jellyml.formats.containers.pickle import end
from jellyml.formats.record import CODE, KEY, MANIFEST, MANIFEST_KEY
from jellyml.formats.registry import FORMATS, format_of

MEGABYTE = 1 << 20
SEED = 20230107
PAYLOAD = {KEY: our_filling(), MANIFEST_KEY: b"manifest"}


def asked_everything(data: bytes) -> None:
    """All that a format can be asked, of any bytes."""
    file = io.BytesIO(data)
    for kind in FORMATS:
        if kind.recognises(file):
            for each in (CODE, MANIFEST):
                for record, _ in zip(kind.records(file, each), range(50), strict=False):
                    assert len(record.head(file, 40)) <= 40
            with contextlib.suppress(CannotCarry):
                edit = kind.fill(file, PAYLOAD)
                assert sum(map(len, edit.chunks(file))) == edit.size
            if stripped := kind.strip(file, list(PAYLOAD)):
                assert 0 <= stripped.size <= len(data)


@contextmanager
def bounded(*, seconds: float = 60, megabytes: int = 40) -> Iterator[None]:
    tracemalloc.start()
    start = time.perf_counter()
    try:
        yield
        assert time.perf_counter() - start < seconds
        assert tracemalloc.get_traced_memory()[1] < megabytes * MEGABYTE
    finally:
        tracemalloc.stop()


@functools.cache
def files(name: str) -> list[bytes]:
    """As it is, and filled."""
    data = next(iter(FILES[name].values()))
    file = io.BytesIO(data)
    return [data, b"".join(format_of(file).fill(file, PAYLOAD).chunks(file))]


@pytest.mark.parametrize("name", FILES)
def test_cut_off_anywhere(name: str) -> None:
    for data in files(name):
        for size in range(0, len(data), 1 + len(data) // 50):
            asked_everything(data[:size])


@pytest.mark.parametrize("name", FILES)
def test_bits_flipped_anywhere(name: str) -> None:
    chance = random.Random(SEED)
    for original in files(name):
        for _ in range(50):
            data = bytearray(original)
            for _ in range(chance.choice((1, 1, 5, 50))):
                data[chance.randrange(min(len(data), 2000))] ^= 1 << chance.randrange(8)
            asked_everything(bytes(data))


@pytest.mark.parametrize("name", FILES)
def test_numbers_replaced_by_lies(name: str) -> None:
    """Every four and eight bytes of the beginning and the end, by the worst there are."""
    for data in files(name):
        for width in (4, 8):
            near = [*range(0, 48, 3), *range(max(48, len(data) - 88), len(data) - width, 4)]
            for place in near:
                for lie in (b"\xff" * width, b"\0" * width, b"\xff" * (width - 1) + b"\x7f"):
                    asked_everything(data[:place] + lie + data[place + width :])


# The trailing block.


@pytest.mark.parametrize("before", [0, 1, 99, 2**63, 2**64 - 1])
@pytest.mark.parametrize("count", [0, 1, 2, 17, 2**64 - 1])
@pytest.mark.parametrize("place", [(0, 10), (2**64 - 1, 2), (10, 2**64 - 1), (0, 0)])
def test_a_footer_that_lies_is_none(before: int, count: int, place: tuple[int, int]) -> None:
    body = CODE.magic.ljust(100) + struct.pack("<2Q", *place)
    for size in (0, 40, len(body) + 40, 2**64 - 1, (len(body) + 40 - before) % 2**64):
        file = io.BytesIO(body + struct.pack("<16s3Q", b"jellyml appended", before, count, size))
        found = trailer.find(file)
        if found:
            assert all(0 <= each.offset + each.size <= len(body) for each in found.records)


# safetensors.


def with_header(text: bytes, data: bytes = b"") -> io.BytesIO:
    return io.BytesIO(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    "text",
    [
        b'{"%s":"' % KEY.encode() * 100_000,
        b'{"%s":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},' % KEY.encode() * 40_000,
        b'{"a":{"dtype":"U8"' * 200_000,
        b"{" * 4_000_000,
        b'{"__metadata__":{' * 200_000,
        b'{"__metadata__"' + b" " * 4_000_000,
        b'{"__metadata__":{\n"' + KEY.encode() + b'":"' + b"A" * 4_000_000,
    ],
    ids=["texts", "tensors", "types", "braces", "metadata", "spaces", "an endless text"],
)
def test_a_header_of_some_megabytes(text: bytes) -> None:
    file = with_header(text)
    with bounded(megabytes=5):
        assert safetensors.recognises(file)
        for record in safetensors.records(file, CODE):
            assert len(record.head(file, 36)) <= 36
    with bounded(megabytes=2 * len(text) // MEGABYTE + 10):
        safetensors.strip(file, list(PAYLOAD))
        with contextlib.suppress(CannotCarry):
            safetensors.fill(file, PAYLOAD)


@pytest.mark.parametrize("size", [0, 1, 11, 2**31, 100_000_001, 2**63, 2**64 - 1])
def test_a_length_that_lies_is_no_safetensors(size: int) -> None:
    assert not safetensors.recognises(io.BytesIO(struct.pack("<Q", size) + b'{"a":1}   '))


def test_offsets_that_lie_are_nowhere() -> None:
    for start, stop in ((9, 3), (0, 10**18 - 1), (10**17, 10**17 + 5)):
        text = f'{{"{KEY}":{{"dtype":"U8","shape":[5],"data_offsets":[{start},{stop}]}}}}'
        file = with_header(text.encode(), b"12345")
        for record in safetensors.records(file, CODE):
            assert len(record.head(file, 100)) <= 5


# Protobuf and msgpack.


@pytest.mark.parametrize(
    "data",
    [
        b"\x08" + b"\xff" * 100,
        b"\x08\x01" + b"\x3a" + b"\xff" * 9 + b"\x01",
        b"\x08\x01\x3a\x00\x42\x00" + b"\x3a\x00",
        b"\x08\x01\x3a\x00\x42\x00" + b"\x0b",
        b"\x08\x01\x3a\x00\x42\x00" + b"\x00\x00",
        b"\x08\x01\x3a\x00",
        b"\x08\x01\x42\x00",
        b"\x08\x01\x38\x00\x42\x00",
        b"\x08\x01\x3a\x00\x42\x01",
        b"\x08\x01\x3a\x00" + b"\x42\x00" * 20_000,
    ],
)
def test_nearly_onnx_is_not(data: bytes) -> None:
    assert onnx.recognises(io.BytesIO(b"\x08\x01\x3a\x00\x42\x00"))
    assert not onnx.recognises(io.BytesIO(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\xdf\xff\xff\xff\xff\xa1a\xc7\1\1x",
        b"\xdf\xff\xff\xff\xff" + b"\xa1a\xc0" * 6_000,
        b"\x81\xa1a" + b"\x91" * 6_000,
        b"\x81\xa1a\xc9\xff\xff\xff\xff\x01",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
        b"\x81\xa1a\xc1",
        b"\x81\xa1a\xc7",
        b"\x81\xa1a\xc7\1\1xy",
        b"\x81\xda\xff\xff" + b"k" * 65535 + b"\xc7\1\1x",
        b"\x81\x01\xc7\1\1x",
        b"\x82\xa1a\xc4\x11jellyml inserted\x81\xa1a\xc4\x01",
    ],
)
def test_nearly_flax_is_not(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flax_msgpack, "_MOST_VALUES", 5_000)
    with bounded():
        assert format_of(io.BytesIO(data)).name == "scan"
        asked_everything(data)


# Pickles, walked to their end.

LONG = MEGABYTE
ENDLESS: dict[str, Callable[[], bytes]] = {
    "marks": lambda: b"(" * LONG,
    "values": lambda: b"N" * LONG,
    "copies": lambda: b"N" + b"2" * LONG,
    "memos": lambda: b"X\4\0\0\0abcd" + b"\x94" * LONG,
    "tuples": lambda: b"N" + b"\x85" * LONG,
    "names": lambda: b"c" + b"m" * (LONG // 2) + b"\n" + b"n" * (LONG // 2) + b"\n",
    "a line without end": lambda: b"V" + b"x" * LONG,
    "a length without end": lambda: b"\x8d" + b"\xff" * 8 + b"." * 100,
    "a frame without end": lambda: b"\x95" + b"\xff" * 8,
    "nothing": lambda: b"",
    "two values": lambda: b"NN.",
    "no such opcode": lambda: b"\xff.",
}


@pytest.mark.parametrize("program", ENDLESS)
def test_a_pickle_without_end_cannot_carry(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end._Walk, "most_steps", 100_000)
    file = io.BytesIO(b"\x80\x04" + ENDLESS[program]())
    with bounded(seconds=60), pytest.raises(CannotCarry, match="cannot be determined"):
        end.end_of(file)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x86", b"0"),
        (b"f8", b"zz"),
        (b"f8", b"f9"),
        (b"shape", b"shapf"),
        (b"\x8c\x02f8", b"\x8c\x02O8"),
        (b"K\x02K\x03\x86", b"J\xff\xff\xff\xffNN"),
    ],
)
def test_an_array_of_joblibs_that_lies(old: bytes, new: bytes) -> None:
    data = real("model.joblib")
    assert end.end_of(io.BytesIO(data)) == len(data)
    changed = new.join(data.rsplit(old, 1))
    assert changed != data
    with contextlib.suppress(CannotCarry):
        assert end.end_of(io.BytesIO(changed)) != len(data)


# NumPy.


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': " + "[" * 3000,
        "{'descr': " + "-" * 9000 + "1}",
        "{'descr': '<f4', 'shape': (" + "9" * 4000 + ",)}",
        "{'descr': '<f4', 'shape': (-1,)}",
        "{'descr': '<f4', 'shape': (True,)}",
        "{'descr': '<f4', 'shape': 'x'}",
        "{'descr': '<f999999999', 'shape': (281474976710655,) * 9}",
        "{'descr': [('a', [('b', 'O')])], 'shape': ()}",
        "{'descr': [1], 'shape': ()}",
        "{'descr': [()], 'shape': ()}",
        "{'descr': None, 'shape': ()}",
        "{'shape': ()}",
        "[]",
        "__import__('os').abort()",
        "",
    ],
)
def test_a_header_of_numpys_that_lies(text: str) -> None:
    header = text.encode()
    data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header
    file = io.BytesIO(data + b"1234")
    with bounded(), pytest.raises(CannotCarry):
        format_of(file).fill(file, PAYLOAD)


def test_an_array_in_an_archive_that_lies() -> None:
    for length in (0, 1, 65535):
        content = b"\x93NUMPY\1\0" + struct.pack("<H", length) + our_filling()
        asked_everything(archive(Member(f"{KEY}.npy", content)))
        asked_everything(archive(Member(f"{KEY}.npy", content, deflate=True)))
    wide = b"\x93NUMPY\2\0" + b"\xff" * 4 + our_filling()
    asked_everything(archive(Member(f"{KEY}.npy", wide, deflate=True)))
    asked_everything(archive(Member(f"{KEY}.npy", array(b"")[:11])))
