"""A snapshot as bytes, a header of 1,024 and then the git bundle; and the manifest likewise.

JellyML 1.0 reads the first four fields of a filling's header, passes over the others, and
takes all that follows the header as the bundle. ``docs/format.md`` is the specification.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NoReturn

from jellyml.errors import BadSnapshot, UsageError
from jellyml.formats.record import CODE, KEY, MANIFEST, MANIFEST_KEY, Record, RecordKind

HEADER_SIZE = 1024
VERSION = "january-7-2023"
MANIFEST_VERSION = "1"
LARGEST_MANIFEST = 4 << 20
# JSON made of next to nothing but brackets takes thirty times its room when parsed.
_MOST_VALUES = 250_000
_DEEPEST = 32
_LONGEST_WHOLE = 300  # digits: such a number can still be a float
_FIRST_LINES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_CUT_OFF = "The snapshot is cut off: it should have {} bytes."
_NO_BUNDLE = "What follows the snapshot's header is not a git bundle."

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OBJECT_FORMAT = re.compile(r"sha1|sha256")

SIDECAR = f"{KEY}.bundle"
MANIFEST_SIDECAR = f"{MANIFEST_KEY}.json"


class NewerSnapshot(BadSnapshot):
    """Told from the rest so that nobody falls back on an older one that lies beside it."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a filling says of itself, in the right form; whether it is true the bytes must show.

    JellyML 1.0 wrote ``size`` and ``offset`` only. ``stands_for`` is the commit that was
    captured, where the bundle's own one is a parentless stand-in for it.
    """

    size: int
    offset: int = HEADER_SIZE
    sha256: str | None = None
    commit: str | None = None
    stands_for: str | None = None
    object_format: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


def header(
    bundle: bytes,
    *,
    commit: str,
    stands_for: str | None = None,
    object_format: str | None = None,
) -> bytes:
    """What goes before a bundle whose ``HEAD`` is ``commit`` to make a filling of it."""
    digest = hashlib.sha256(bundle).hexdigest()
    return header_of(
        len(bundle), digest, commit=commit, stands_for=stands_for, object_format=object_format
    )


def header_of(
    size: int, sha256: str, *, commit: str, stands_for: str | None, object_format: str | None
) -> bytes:
    """The same of a bundle's size in bytes and its digest."""
    optional = {"stands_for": stands_for, "object_format": object_format}
    return _padded(
        {
            "magic_number": "jelly_ml_snapshot",
            "snapshot_offset": HEADER_SIZE,
            "snapshot_size": size,
            "version": VERSION,
            "sha256": sha256,
            "commit": commit,
            **{name: value for name, value in optional.items() if value is not None},
        }
    )


def parse_header(head: bytes) -> Header:
    """The header at the start of ``head``; BadSnapshot says what is wrong with it."""
    fields = _fields(head, CODE, VERSION)
    return Header(
        offset=_count(fields, "snapshot_offset"),
        size=_count(fields, "snapshot_size"),
        sha256=_text(fields, "sha256", _DIGEST),
        commit=_text(fields, "commit", _COMMIT),
        stands_for=_text(fields, "stands_for", _COMMIT),
        object_format=_text(fields, "object_format", _OBJECT_FORMAT),
        extra=fields,
    )


def bare_header(size: int, manifest: Mapping[str, object]) -> Header:
    """What the header would say of a bundle that lies alone beside its manifest."""
    digest = _text(dict(manifest), "bundle_sha256", _DIGEST)
    return Header(offset=0, size=size, sha256=digest)


def is_of(manifest: Mapping[str, object], bundle: Iterable[bytes]) -> bool:
    """Whether a folder's manifest is the one of this bundle."""
    digest = hashlib.sha256()
    for chunk in bundle:
        digest.update(chunk)
    return manifest.get("bundle_sha256") == digest.hexdigest()


def head_of(bundle: bytes) -> str:
    """The commit that a bundle's ``HEAD`` is."""
    lines = bundle[: bundle.find(b"\n\n")].split(b"\n")
    heads = [
        line.split(b" ")[0].decode("ascii", "replace") for line in lines if line.endswith(b" HEAD")
    ]
    if len(heads) != 1 or not _COMMIT.fullmatch(heads[0]):
        raise BadSnapshot("The bundle does not say which commit is its HEAD.")
    return heads[0]


def prove(file: BinaryIO, record: Record) -> Header:
    """The record's header, once the bundle behind it is found to be what the header says."""
    header = parse_header(record.head(file, HEADER_SIZE))
    prove_bundle(file, record, header)
    return header


def prove_bundle(file: BinaryIO, record: Record, header: Header) -> None:
    chunks = bundle(file, record, header)
    next(chunks)
    if header.sha256 or record.encoded:
        for _ in chunks:
            pass


def claimed(file: BinaryIO, record: Record) -> Header:
    """The record's header, where a bundle begins behind it; the rest is not read."""
    header = parse_header(record.head(file, HEADER_SIZE))
    begins(file, record, header)
    return header


def begins(file: BinaryIO, record: Record, header: Header) -> None:
    """BadSnapshot where the record has no room for the bundle, or it does not begin as one."""
    if header.offset + header.size > record.most:
        raise BadSnapshot(_CUT_OFF.format(header.offset + header.size))
    start = record.head(file, header.offset + len(_FIRST_LINES[0]))[header.offset :]
    if start not in _FIRST_LINES:
        raise BadSnapshot(_NO_BUNDLE)


def bundle(file: BinaryIO, record: Record, header: Header) -> Iterator[bytes]:
    """Exactly the bundle's bytes, a little at a time.

    BadSnapshot comes before the first of them when it is no bundle or has no room in the
    record, and after the last when they are too few or not those of the digest.
    """
    end = header.offset + header.size
    if end > record.most:
        raise BadSnapshot(_CUT_OFF.format(end))
    start, size, digest = b"", 0, hashlib.sha256()
    for chunk in _behind(record.chunks(file, end), header.offset):
        start += chunk[: len(_FIRST_LINES[0]) - len(start)]
        if not any(line.startswith(start) for line in _FIRST_LINES):
            break
        size += len(chunk)
        digest.update(chunk)
        yield chunk
    if start not in _FIRST_LINES:
        raise BadSnapshot(_NO_BUNDLE)
    if size < header.size:
        raise BadSnapshot(f"The snapshot is cut off: {size} of {header.size} bytes are there.")
    if header.sha256 not in (None, digest.hexdigest()):
        raise BadSnapshot("The snapshot's bytes are not those that were saved.")


def manifest_record(manifest: Mapping[str, object]) -> bytes:
    """The manifest's record; UsageError when it is no JSON or more than we would read."""
    try:
        # ASCII, so that names of files that are not UTF-8 come through.
        content = json.dumps(dict(manifest), allow_nan=False).encode("ascii")
        parse_json(content)
    except (TypeError, ValueError, RecursionError) as problem:
        raise UsageError(f"The manifest cannot be written as JSON: {problem}.") from None
    except BadSnapshot as problem:
        raise UsageError(
            f"The manifest cannot be written. {problem.problem}",
            "give create_snapshot fewer, shorter or flatter notes.",
        ) from None
    fields = {
        "magic_number": "jelly_ml_manifest",
        "manifest_offset": HEADER_SIZE,
        "manifest_size": len(content),
        "version": MANIFEST_VERSION,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return _padded(fields) + content


def sidecar_manifest(record: "bytes | memoryview | None", bundle: "bytes | memoryview") -> bytes:
    """Plain JSON for a folder, with the digest of the bundle that it stands beside."""
    manifest = parse_manifest(bytes(record)) if record else {}
    digest = hashlib.sha256(bundle).hexdigest()
    return json.dumps(manifest | {"bundle_sha256": digest}, indent=1).encode("ascii") + b"\n"


def parse_manifest(data: bytes) -> dict[str, object]:
    """The manifest in a record's bytes; BadSnapshot when it is not whole or not JSON."""
    fields = _fields(data, MANIFEST, MANIFEST_VERSION)
    offset, size = _count(fields, "manifest_offset"), _count(fields, "manifest_size")
    content = data[offset : offset + size]
    if len(content) < size:
        raise BadSnapshot("The manifest is cut off.")
    digest = _text(fields, "sha256", _DIGEST)
    if digest not in (None, hashlib.sha256(content).hexdigest()):
        raise BadSnapshot("The manifest's bytes are not those that were saved.")
    return parse_json(content)


def parse_json(content: bytes) -> dict[str, object]:
    """JSON from outside: an object with finite numbers; its size, values and depth are bounded."""
    values = sum(content.count(mark) for mark in (b"[", b"{", b","))
    if len(content) > LARGEST_MANIFEST or values > _MOST_VALUES:
        raise BadSnapshot("Its JSON is larger than JellyML reads.")
    try:
        parsed = json.loads(
            content.decode(), parse_constant=_refused, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError):
        raise BadSnapshot("Its JSON is broken.") from None
    if not isinstance(parsed, dict) or _deeper(parsed, _DEEPEST):
        raise BadSnapshot("Its JSON is not an object, or nested too deeply.")
    return parsed


def read_manifest(file: BinaryIO, record: Record) -> dict[str, object]:
    return parse_manifest(record.head(file, HEADER_SIZE + LARGEST_MANIFEST))


def size_of_manifest(file: BinaryIO, record: Record) -> int:
    """How many bytes its record has, the header counted, once the manifest has proved itself."""
    head = record.head(file, HEADER_SIZE)
    read_manifest(file, record)
    fields = _fields(head, MANIFEST, MANIFEST_VERSION)
    return _count(fields, "manifest_offset") + _count(fields, "manifest_size")


def _padded(fields: Mapping[str, object]) -> bytes:
    packed = json.dumps(fields).encode("ascii")
    if len(packed) > HEADER_SIZE:
        raise ValueError("the header's fields do not fit")
    return packed.ljust(HEADER_SIZE, b"\0")


def _behind(chunks: Iterator[bytes], skip: int) -> Iterator[bytes]:
    for chunk in chunks:
        if len(chunk) > skip:
            yield chunk[skip:]
        skip = max(0, skip - len(chunk))


def _fields(head: bytes, kind: RecordKind, version: str) -> dict[str, object]:
    if not head.startswith(kind.magic) or len(head) < HEADER_SIZE:
        raise BadSnapshot("The header is cut off.")
    fields = parse_json(head[:HEADER_SIZE].rstrip(b"\0"))
    del fields["magic_number"]
    written = fields.pop("version", None)
    if not isinstance(written, str):
        raise BadSnapshot("The header has no version.")
    if written != version:
        # Its repr shows no control character as it is.
        raise NewerSnapshot(
            f"It was written by a newer JellyML (version {written!r}).",
            "pip install --upgrade jellyml",
        )
    return fields


def _refused(number: str) -> NoReturn:
    raise ValueError(f"{number[:20]} is not a number")


def _finite(number: str) -> float:
    """Python makes Infinity of 1e999, and writes that as what no JSON parser reads."""
    value = float(number)
    return value if math.isfinite(value) else _refused(number)


def _whole(number: str) -> int:
    return int(number) if len(number) <= _LONGEST_WHOLE else _refused(number)


def _deeper(value: object, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(each, levels - 1) for each in inner)


def _count(fields: dict[str, object], name: str) -> int:
    value = fields.pop(name, None)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise BadSnapshot(f"The header's {name} is not a size.")
    return value


def _text(fields: dict[str, object], name: str, form: re.Pattern[str]) -> str | None:
    value = fields.pop(name, None)
    if value is None:
        return None
    if not isinstance(value, str) or not form.fullmatch(value):
        raise BadSnapshot(f"The header's {name} does not have its form.")
    return value
