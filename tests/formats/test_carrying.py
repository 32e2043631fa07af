"""What every format promises: filled, found, stripped to the byte, wiped; or refused."""

import hashlib
import io
import struct
import zipfile
from base64 import b64encode

import pytest

from checkpoint_files import Counting, Member, appended, archive, our_filling
from format_samples import FILES, REFUSED, array, npz, real, safetensors
from jellyml.errors import CannotCarry
from jellyml.formats import onnx
from jellyml.formats.containers import trailer
from jellyml.formats.edit import Edit
from jellyml.formats.onnx import varint
from jellyml.formats.record import CODE, KEY, MANIFEST, MANIFEST_KEY, Record
from jellyml.formats.registry import FORMATS, Format, format_of
from jellyml.snapshot import serialization

PAYLOAD = {KEY: our_filling(), MANIFEST_KEY: serialization.manifest_record({"note": "made here"})}
KEYS = list(PAYLOAD)
EVERY = [(name, label) for name, files in FILES.items() for label in files]

every_file = pytest.mark.parametrize(("name", "label"), EVERY, ids=map(" - ".join, EVERY))


def made(edit: Edit, old: bytes) -> bytes:
    new = b"".join(edit.chunks(io.BytesIO(old)))
    assert len(new) == edit.size
    return new


def filled(data: bytes) -> bytes:
    file = io.BytesIO(data)
    return made(format_of(file).fill(file, PAYLOAD), data)


def found(kind: Format, data: bytes) -> dict[str, bytes]:
    """What lies at the likeliest places."""
    file = io.BytesIO(data)
    return {
        each.key: next(kind.records(file, each)).head(file, len(PAYLOAD[each.key]))
        for each in (CODE, MANIFEST)
    }


def test_every_format_has_its_samples() -> None:
    assert {*FILES, "compressed", "scan"} == {each.name for each in FORMATS}


@every_file
def test_one_format_recognises_it(name: str, label: str) -> None:
    for data in (FILES[name][label], filled(FILES[name][label])):
        asked = [each.name for each in FORMATS[:-1] if each.recognises(io.BytesIO(data))]
        assert asked == [name]


@every_file
def test_strip_undoes_fill_to_the_byte(name: str, label: str) -> None:
    original = FILES[name][label]
    known = format_of(io.BytesIO(original))
    assert known.strip(io.BytesIO(original), KEYS) is None

    new = filled(original)

    assert found(known, new) == PAYLOAD
    stripped = known.strip(io.BytesIO(new), KEYS)
    assert stripped
    assert made(stripped, new) == original


@every_file
def test_the_file_is_held_in_pieces(name: str, label: str) -> None:
    """What is put in keeps the old bytes where they were, or moves them as stretches."""
    original = FILES[name][label]
    known = format_of(io.BytesIO(original))
    edit = known.fill(io.BytesIO(original), PAYLOAD)
    assert edit.in_place == (name not in ("safetensors", "Flax msgpack"))
    if edit.in_place:
        assert edit.keep == len(original)


@every_file
def test_wipe_leaves_zeros_and_all_the_rest(name: str, label: str) -> None:
    original = FILES[name][label]
    known, new = format_of(io.BytesIO(original)), filled(original)
    file = io.BytesIO(new)
    record = next(known.records(file, CODE))

    wiped = made(known.wipe(file, [record]), new)

    assert len(wiped) == len(new)
    assert not any(record.head(io.BytesIO(wiped), record.most))
    assert [at for at in range(len(new)) if wiped[at] != new[at]][-1] < len(new)
    assert format_of(io.BytesIO(wiped)).name == name
    assert CODE.magic not in wiped
    assert b64encode(CODE.magic[:30]) not in wiped
    if zipfile.is_zipfile(io.BytesIO(wiped)) and name != "GGUF":
        assert zipfile.ZipFile(io.BytesIO(wiped)).testzip() is None
    stripped = known.strip(io.BytesIO(wiped), KEYS)
    assert stripped
    assert made(stripped, wiped) == original


@pytest.mark.parametrize("label", REFUSED)
def test_what_cannot_carry_it_says_why(label: str) -> None:
    name, reason, data = REFUSED[label]
    file = io.BytesIO(data)
    known = format_of(file)
    assert known.name == name
    with pytest.raises(CannotCarry, match=reason) as refusal:
        known.fill(file, PAYLOAD)
    assert refusal.value.problem.endswith(".")


# The trailing block.


@pytest.mark.parametrize("align", [1, 8, 32])
@pytest.mark.parametrize("size", [0, 1, 31, 32])
def test_the_block_is_aligned_and_ends_the_file(align: int, size: int) -> None:
    old = bytes(size)
    new = made(trailer.append(io.BytesIO(old), PAYLOAD, align=align), old)
    block = trailer.find(io.BytesIO(new))
    assert block
    assert block.before == size
    assert block.records[0].offset % align == 0
    assert trailer.find(io.BytesIO(new + b"x")) is None


def test_a_field_of_onnx_is_one_that_protobuf_skips() -> None:
    original = FILES["ONNX"]["written by it"]
    new = filled(original)
    tag = varint(onnx.FIELD << 3 | 2)
    assert new[len(original) :].startswith(tag)
    rest = new[len(original) + len(tag) :]
    size, shift = 0, 0
    while True:
        byte, rest = rest[0], rest[1:]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    assert size == len(rest)


def test_onnx_beyond_its_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = FILES["ONNX"]["written by it"]
    monkeypatch.setattr(onnx, "_LARGEST", len(filled(original)) - 1)
    with pytest.raises(CannotCarry, match="2 GB"):
        filled(original)


def test_strip_takes_no_hdf5_data_that_was_written_since() -> None:
    """h5py takes the room behind its end: the footer may be left, with data before it."""
    original = real("model.h5")
    new = bytearray(filled(original))
    struct.pack_into("<Q", new, 40, len(original) + 100)
    file = io.BytesIO(bytes(new))
    assert trailer.strip(file, KEYS)
    assert format_of(file).strip(file, KEYS) is None


def test_filling_hdf5_warns_of_writers() -> None:
    file = io.BytesIO(real("model.h5"))
    assert "overwrite" in format_of(file).fill(file, PAYLOAD).caution


# Saved under a key by the library itself.


def text(data: bytes) -> str:
    return b64encode(data).decode()


def test_safetensors_metadata_is_read_and_is_not_ours() -> None:
    for metadata in (
        {"format": "pt", **{key: text(record) for key, record in PAYLOAD.items()}},
        {**{key: text(record) for key, record in PAYLOAD.items()}, "format": "pt"},
    ):
        data = safetensors(metadata)
        known = format_of(io.BytesIO(data))
        assert found(known, data) == PAYLOAD
        assert known.strip(io.BytesIO(data), KEYS) is None


def test_a_tensor_of_safetensors_is_found_by_its_header_alone() -> None:
    record = PAYLOAD[KEY]
    for name in (KEY, f"model.{KEY}", "code"):
        entries = f'{{"a":{{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}},"{name}":'
        entries += f'{{"dtype":"U8","shape":[{len(record)}],"data_offsets":[4000000,'
        header = (entries + f"{4000000 + len(record)}]}}}}").encode()
        file = Counting(struct.pack("<Q", len(header)) + header + bytes(4_000_000) + record)
        assert next(format_of(file).records(file, CODE)).head(file, 1 << 20) == record
        assert file.taken < 80_000 + len(record)


def test_what_fill_put_into_safetensors_comes_before_what_was_saved() -> None:
    old = safetensors({KEY: text(CODE.magic + b"old")})
    assert found(format_of(io.BytesIO(old)), filled(old)) == PAYLOAD


def test_safetensors_entries_move_the_data_by_a_multiple_of_eight() -> None:
    for label, data in FILES["safetensors"].items():
        assert (len(filled(data)) - len(data)) % 8 == 0, label


@pytest.mark.parametrize("deflate", [False, True])
def test_an_array_in_an_npz_is_found(deflate: bool) -> None:
    members = [Member(f"{key}.npy", array(record), deflate) for key, record in PAYLOAD.items()]
    for data in (
        archive(Member("w.npy", array(b"1")), *members),
        archive(*members, Member("w.npy", array(b"1"))),
    ):
        known = format_of(io.BytesIO(data))
        assert found(known, data) == PAYLOAD
        assert known.strip(io.BytesIO(data), KEYS) is None


def test_what_is_deflated_cannot_be_wiped() -> None:
    data = archive(Member(f"{KEY}.npy", array(PAYLOAD[KEY]), deflate=True))
    file = io.BytesIO(data)
    known = format_of(file)
    record = next(known.records(file, CODE))
    with pytest.raises(CannotCarry, match="compressed"):
        known.wipe(file, [record])


@pytest.mark.parametrize("name", ["Keras", "skops", "NumPy archive", "torch zip"])
def test_a_member_of_any_name_is_found_at_last(name: str) -> None:
    data = next(iter(FILES[name].values()))
    member = "archive/data/9" if name == "torch zip" else "odd.npy"
    content = array(PAYLOAD[KEY]) if name == "NumPy archive" else PAYLOAD[KEY]
    file = io.BytesIO(appended(data, member, content))
    known = format_of(file)
    assert known.name == name
    heads = [each.head(file, 1 << 20) for each in known.records(file, CODE)]
    assert PAYLOAD[KEY] in heads


def test_metadata_of_onnx_is_read() -> None:
    def message(*fields: tuple[int, bytes]) -> bytes:
        return b"".join(varint(n << 3 | 2) + varint(len(data)) + data for n, data in fields)

    props = [(14, message((1, b"note"), (2, b"x")))]
    props += [
        (14, message((1, key.encode()), (2, b64encode(data)))) for key, data in PAYLOAD.items()
    ]
    data = FILES["ONNX"]["written by it"] + message(*props)
    known = format_of(io.BytesIO(data))
    assert known.name == "ONNX"
    assert found(known, data) == PAYLOAD


# Base64 and what is skipped.


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, 3 << 20])
def test_base64_is_read_in_pieces(size: int) -> None:
    data = hashlib.shake_128(b"seed").digest(size)
    file = io.BytesIO(b"before" + b64encode(data) + b"behind")
    record = Record(6, len(b64encode(data)), "base64")

    pieces = list(record.chunks(file))

    assert b"".join(pieces) == data
    assert max(map(len, pieces), default=0) <= 1 << 20
    assert record.head(file, 10) == data[:10]


def test_base64_of_nonsense_gives_what_it_gives() -> None:
    for nonsense in (b"\xff" * 100, b"====", b"QQ", b"Q" * 99 + b"!"):
        assert len(Record(0, len(nonsense), "base64").head(io.BytesIO(nonsense), 1000)) < 100


def test_a_part_of_something_encoded_begins_later() -> None:
    data = b"0123456789" * 100
    record = Record(0, len(b64encode(data)), "base64")
    part = record.part(7, 3)
    assert part
    assert part.head(io.BytesIO(b64encode(data)), 3) == b"789"
    assert record.part(len(data) + 10, 1) is None


def test_names_like_torchs_are_no_torch_archive() -> None:
    assert format_of(io.BytesIO(npz("a/data/b", "a/data.pkl"))).name == "NumPy archive"
