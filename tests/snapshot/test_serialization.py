"""The bytes of a filling and of a manifest, as we write them and as anybody may have."""

import contextlib
import io
import json
import tracemalloc
from typing import Any

import pytest

from checkpoint_files import (
    bundle,
    digest,
    header_with,
    old_filling,
    our_filling,
)
from jellyml.errors import BadSnapshot, UsageError
from jellyml.formats.record import CODE, MANIFEST, Record
from jellyml.snapshot import serialization
from jellyml.snapshot.serialization import Header, NewerSnapshot

COMMIT, OTHER = "1" * 40, "2" * 64


def proved(data: bytes, size: int | None = None) -> bytes:
    """The bundle in these bytes, once they are proved."""
    file = io.BytesIO(data)
    record = Record(0, len(data) if size is None else size)
    return b"".join(serialization.bundle(file, record, serialization.prove(file, record)))


# Written.


def test_the_header_is_as_1_0_wants_it() -> None:
    head = serialization.header(bundle(), commit=COMMIT)

    assert len(head) == serialization.HEADER_SIZE == 1024
    assert head.startswith(CODE.magic)
    assert head.rstrip(b"\0").endswith(b"}")
    assert json.loads(head.rstrip(b"\0")) == {
        "magic_number": "jelly_ml_snapshot",
        "snapshot_offset": 1024,
        "snapshot_size": len(bundle()),
        "version": "january-7-2023",
        "sha256": digest(bundle()),
        "commit": COMMIT,
    }


def test_what_is_written_is_read() -> None:
    for commit, stands_for, form in ((COMMIT, None, None), (OTHER, "3" * 64, "sha256")):
        head = serialization.header(
            bundle(), commit=commit, stands_for=stands_for, object_format=form
        )
        assert serialization.parse_header(head) == Header(
            size=len(bundle()),
            sha256=digest(bundle()),
            commit=commit,
            stands_for=stands_for,
            object_format=form,
        )
        assert proved(head + bundle()) == bundle()


def test_the_same_code_gives_the_same_bytes() -> None:
    assert our_filling() == our_filling()
    assert serialization.manifest_record({"a": 1, "b": 2}) == serialization.manifest_record(
        {"a": 1, "b": 2}
    )


def test_a_header_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        serialization.header(bundle(), commit="1" * 2000)


# Read.


def test_a_header_of_1_0() -> None:
    assert serialization.parse_header(header_with()) == Header(size=len(bundle()))
    assert proved(old_filling()) == bundle()


def test_further_fields_are_kept() -> None:
    head = header_with(made_by="somebody", nested={"a": [1]})
    assert serialization.parse_header(head).extra == {"made_by": "somebody", "nested": {"a": [1]}}


def test_an_offset_behind_the_header_is_honoured() -> None:
    data = header_with(snapshot_offset=5000).ljust(5000, b"x") + bundle()
    assert proved(data) == bundle()
    assert proved(data + b"trailing") == bundle()


@pytest.mark.parametrize("line", [b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n"])
def test_both_versions_of_bundles(line: bytes) -> None:
    data = line + bundle().split(b"\n", 1)[1]
    assert proved(header_with(snapshot_size=len(data)) + data) == data


@pytest.mark.parametrize(
    "fields",
    [
        {"snapshot_offset": 1023},
        {"snapshot_offset": 2**62},
        {"snapshot_offset": 1025},
        {"snapshot_size": 0},
        {"snapshot_size": 15},
        {"snapshot_size": 10**12},
        {"sha256": "0" * 64},
        {"sha256": "A" * 64},
        {"sha256": "0" * 63},
        {"sha256": 0},
        {"commit": "HEAD"},
        {"commit": "1" * 41},
        {"commit": "1" * 40 + "\n"},
        {"commit": ["1" * 40]},
        {"stands_for": "--upload-pack=x"},
        {"object_format": "md5"},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadSnapshot):
        proved(header_with(**fields) + bundle())


@pytest.mark.parametrize(
    "head",
    [
        CODE.magic.ljust(1024, b"\0"),
        header_with()[:1000],
        header_with()[:1023] + b"x",
        header_with().replace(b"}", b"} {", 1)[:1024],
        header_with().replace(b"january", b"janu\xff\xfey")[:1024],
        CODE.magic + b', "a": NaN' + header_with()[len(CODE.magic) :][:900],
        (CODE.magic + b', "a": ' + b"[" * 2000)[:1024],
        CODE.magic + b', "a": ' + b"[" * 470 + b"]" * 470 + b"}".ljust(40, b"\0"),
        b"\xff\xfe" + header_with().decode().encode("utf-16-le")[:1022],
        b"",
    ],
)
def test_what_is_no_header_is_refused(head: bytes) -> None:
    with pytest.raises(BadSnapshot):
        serialization.parse_header(head)


def test_a_deep_header_is_refused() -> None:
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    with pytest.raises(BadSnapshot, match="too deeply"):
        serialization.parse_header(header_with(deep=deep))


def test_a_newer_version_is_named() -> None:
    with pytest.raises(NewerSnapshot, match=r"newer JellyML \(version 'may-1-2031'\)") as caught:
        serialization.parse_header(header_with(version="may-1-2031", snapshot_size="otherwise"))
    assert caught.value.fix == "pip install --upgrade jellyml"


@pytest.mark.parametrize("version", [None, 2, ["january-7-2023"]])
def test_no_version_is_not_a_newer_one(version: object) -> None:
    with pytest.raises(BadSnapshot, match="has no version"):
        serialization.parse_header(header_with(version=version))


@pytest.mark.parametrize("field", ["snapshot_offset", "snapshot_size"])
@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None, [1], 1 << 63, 10**290])
def test_a_size_is_a_whole_number(field: str, value: object) -> None:
    with pytest.raises(BadSnapshot, match=f"{field} is not a size"):
        serialization.parse_header(header_with(**{field: value}))


def test_a_version_cannot_speak_to_the_terminal() -> None:
    with pytest.raises(NewerSnapshot) as caught:
        serialization.parse_header(header_with(version="\x1b[2J\u202e"))
    assert str(caught.value).isprintable()


# The bundle behind the header.


def test_bytes_beyond_the_bundle_are_cut_off() -> None:
    assert proved(our_filling() + b"junk") == bundle()
    assert proved(old_filling() + b"junk") == bundle()


@pytest.mark.parametrize("data", [our_filling(), old_filling()], ids=["ours", "1.0"])
def test_fewer_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadSnapshot, match="cut off"):  # the record ends
        serialization.prove(io.BytesIO(data), Record(0, len(data) - 1))
    chunks = serialization.bundle(
        io.BytesIO(data[:-1]), Record(0, len(data)), serialization.parse_header(data[:1024])
    )
    assert next(chunks)
    with pytest.raises(BadSnapshot, match="cut off"):  # the file ends
        next(chunks)


def test_what_is_no_bundle_is_refused() -> None:
    for data in (bytes(300), b"# v4 git bundle\n" + bytes(300), b"# v2 git bun", b"PACK"):
        with pytest.raises(BadSnapshot, match="not a git bundle"):
            proved(header_with(snapshot_size=len(data), sha256=digest(data)) + data)


def test_other_bytes_are_refused_by_the_digest() -> None:
    data = bytearray(our_filling())
    data[-1] ^= 1
    with pytest.raises(BadSnapshot, match="not those that were saved"):
        proved(bytes(data))


def test_the_digest_is_checked_while_streaming_too() -> None:
    data = bytearray(our_filling())
    record = Record(0, len(data))
    head = serialization.prove(io.BytesIO(data), record)
    data[-1] ^= 1

    chunks = serialization.bundle(io.BytesIO(data), record, head)
    assert len(next(chunks)) == len(bundle())
    with pytest.raises(BadSnapshot, match="not those that were saved"):
        next(chunks)


def test_a_bundle_of_1_0_is_proved_by_its_first_line_alone() -> None:
    """It has no digest, and reading it all would prove nothing more."""
    data = old_filling().ljust(64 << 20, b"\0")
    data = header_with(snapshot_size=len(data) - 1024) + data[1024:]

    class Strict(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert self.tell() < 2 << 20
            return super().read(size)

    serialization.prove(Strict(data), Record(0, len(data)))


# The manifest.


def parsed(data: bytes) -> dict[str, object]:
    return serialization.read_manifest(io.BytesIO(data), Record(0, len(data)))


def test_a_manifest_comes_back() -> None:
    manifest = {"commit": COMMIT, "nested": {"a": [1, None, 2.5]}, "name": "caf\u00e9 \udcff"}
    record = serialization.manifest_record(manifest)

    assert record.startswith(MANIFEST.magic)
    assert json.loads(record[:1024].rstrip(b"\0")) == {
        "magic_number": "jelly_ml_manifest",
        "manifest_offset": 1024,
        "manifest_size": len(record) - 1024,
        "version": "1",
        "sha256": digest(record[1024:]),
    }
    assert json.loads(record[1024:]) == manifest
    assert parsed(record) == parsed(record + b"trailing") == manifest


def manifest_with(content: bytes, **fields: object) -> bytes:
    head = {
        "magic_number": "jelly_ml_manifest",
        "manifest_offset": 1024,
        "manifest_size": len(content),
        "version": "1",
    } | fields
    return json.dumps(head).encode().ljust(1024, b"\0") + content


def test_a_manifest_without_a_digest_is_read() -> None:
    assert parsed(manifest_with('{"a": "é"}'.encode())) == {"a": "é"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'"text"',
        b"null",
        b"{",
        b'{"a": NaN}',
        b'{"a": \xff}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": [' + b"{}," * 300_000 + b"1]}",
        b'{"a": "' + b"x" * serialization.LARGEST_MANIFEST + b'"}',
    ],
    ids=lambda content: content[:12] + b"..." + str(len(content)).encode(),
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(BadSnapshot):
        parsed(manifest_with(content))


@pytest.mark.parametrize(
    "fields",
    [
        {"manifest_offset": 1000},
        {"manifest_offset": 2**62},
        {"manifest_size": 12},
        {"manifest_size": 9},
        {"manifest_size": -1},
        {"manifest_size": 2**62},
        {"sha256": "0" * 64},
        {"version": "2"},
        {"version": 1},
    ],
    ids=str,
)
def test_a_manifests_header_that_lies_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadSnapshot):
        parsed(manifest_with(b'{"a": "b"}', **fields))


def test_a_manifest_never_takes_much_memory() -> None:
    limit = serialization.LARGEST_MANIFEST
    for content in (
        b'{"a": [' + b"[]," * 249_000 + b"1]}",
        b'{"a": [' + b"[]," * (limit // 3 - 10) + b"1]}",
        '{{"a": "{}"}}'.format("😀" + "x" * (limit - 20)).encode(),
    ):
        record = manifest_with(content)
        tracemalloc.start()
        with contextlib.suppress(BadSnapshot):
            parsed(record)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 48 << 20


@pytest.mark.parametrize(
    "manifest",
    [{"a": object()}, {"a": float("nan")}, {"a": "x" * serialization.LARGEST_MANIFEST}, {1j: 2}],
    ids=["object", "nan", "large", "key"],
)
def test_what_would_not_be_read_is_not_written(manifest: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        serialization.manifest_record(manifest)


def test_a_manifest_in_a_circle_is_not_written() -> None:
    circle: dict[str, object] = {}
    circle["a"] = circle
    with pytest.raises(UsageError):
        serialization.manifest_record(circle)
