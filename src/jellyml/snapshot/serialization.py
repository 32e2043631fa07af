"""The bytes of a snapshot: a header of 1,024 bytes, then the git bundle or the manifest.

JellyML 1.0 reads the first four fields of a filling's header, ignores the others, and
takes all bytes after the header as the bundle. ``docs/format.md`` is the specification.
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
# JSON that is almost only brackets takes thirty times its size in memory when parsed.
_MOST_VALUES = 250_000
_DEEPEST = 32
_LONGEST_WHOLE = 300  # digits: a longer number may not fit in a float
_FIRST_LINES = (b"# v2 git bundle\n", b"# v3 git bundle\n")
_CUT_OFF = "The snapshot is cut off: it should have {} bytes."
_NO_BUNDLE = "What follows the snapshot's header is not a git bundle."

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_OBJECT_FORMAT = re.compile(r"sha1|sha256")

SIDECAR = f"{KEY}.bundle"
MANIFEST_SIDECAR = f"{MANIFEST_KEY}.json"


class NewerSnapshot(BadSnapshot):
    """A newer JellyML wrote the snapshot. A reader must not fall back on an older one beside it."""


@dataclass(frozen=True, slots=True)
class Header:
    """The well-formed header of a filling. ``prove`` checks it against the bundle.

    JellyML 1.0 wrote ``size`` and ``offset`` only, in bytes. ``stands_for`` is the id of the
    captured commit, if the bundle holds a rewritten copy of it without its parents.
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
    """Return the header of a filling with this bundle, whose ``HEAD`` is ``commit``."""
    digest = hashlib.sha256(bundle).hexdigest()
    return header_of(
        len(bundle), digest, commit=commit, stands_for=stands_for, object_format=object_format
    )


def header_of(
    size: int, sha256: str, *, commit: str, stands_for: str | None, object_format: str | None
) -> bytes:
    """Return the header for a bundle of ``size`` bytes with this digest."""
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
    """Return the header at the start of ``head``. Raise BadSnapshot if it is malformed."""
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
    """Return the header for a bundle without one, in a folder with its manifest."""
    digest = _text(dict(manifest), "bundle_sha256", _DIGEST)
    return Header(offset=0, size=size, sha256=digest)


def is_of(manifest: Mapping[str, object], bundle: Iterable[bytes]) -> bool:
    """Return True if the manifest names the digest of this bundle."""
    digest = hashlib.sha256()
    for chunk in bundle:
        digest.update(chunk)
    return manifest.get("bundle_sha256") == digest.hexdigest()


def head_of(bundle: bytes) -> str:
    """Return the id of a bundle's ``HEAD``. Raise BadSnapshot if it has none, or several."""
    lines = bundle[: bundle.find(b"\n\n")].split(b"\n")
    heads = [
        line.split(b" ")[0].decode("ascii", "replace") for line in lines if line.endswith(b" HEAD")
    ]
    if len(heads) != 1 or not _COMMIT.fullmatch(heads[0]):
        raise BadSnapshot("The bundle does not say which commit is its HEAD.")
    return heads[0]


def prove(file: BinaryIO, record: Record) -> Header:
    """Return the record's header. Raise BadSnapshot if the bundle after it does not match."""
    header = parse_header(record.head(file, HEADER_SIZE))
    prove_bundle(file, record, header)
    return header


def prove_bundle(file: BinaryIO, record: Record, header: Header) -> None:
    """Raise BadSnapshot if the record does not hold the bundle of ``header``."""
    chunks = bundle(file, record, header)
    next(chunks)
    if header.sha256 or record.encoded:
        for _ in chunks:
            pass


def claimed(file: BinaryIO, record: Record) -> Header:
    """Return the record's header. Raise BadSnapshot if no bundle begins after it.

    The rest of the bundle is not read.
    """
    header = parse_header(record.head(file, HEADER_SIZE))
    begins(file, record, header)
    return header


def begins(file: BinaryIO, record: Record, header: Header) -> None:
    """Raise BadSnapshot if the bundle exceeds the record, or does not begin as a bundle."""
    if header.offset + header.size > record.most:
        raise BadSnapshot(_CUT_OFF.format(header.offset + header.size))
    start = record.head(file, header.offset + len(_FIRST_LINES[0]))[header.offset :]
    if start not in _FIRST_LINES:
        raise BadSnapshot(_NO_BUNDLE)


def bundle(file: BinaryIO, record: Record, header: Header) -> Iterator[bytes]:
    """Yield exactly the bundle's bytes, in chunks of at most 1 MiB.

    Raise BadSnapshot before the first chunk if it is not a bundle or exceeds the record.
    Raise BadSnapshot after the last chunk if bytes are missing or the digest differs.
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
    """Return the manifest's record.

    Raise UsageError if JSON cannot encode it, or it exceeds the limits of ``parse_json``.
    """
    try:
        # ASCII keeps the names of files that are not UTF-8.
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
    """Return a folder's manifest as JSON without a header, with the digest of ``bundle``."""
    manifest = parse_manifest(bytes(record)) if record else {}
    digest = hashlib.sha256(bundle).hexdigest()
    return json.dumps(manifest | {"bundle_sha256": digest}, indent=1).encode("ascii") + b"\n"


def parse_manifest(data: bytes) -> dict[str, object]:
    """Return the manifest in a record. Raise BadSnapshot if it is cut off or not JSON."""
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
    """Return an untrusted JSON object with finite numbers.

    Raise BadSnapshot if it is malformed, or exceeds the limits of size, values and depth.
    """
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
    """Return the size of the manifest's record in bytes, with its header.

    Raise BadSnapshot if the manifest is invalid.
    """
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
        # repr escapes control characters.
        raise NewerSnapshot(
            f"It was written by a newer JellyML (version {written!r}).",
            "pip install --upgrade jellyml",
        )
    return fields


def _refused(number: str) -> NoReturn:
    raise ValueError(f"{number[:20]} is not a number")


def _finite(number: str) -> float:
    """Return the number. Raise ValueError for one like 1e999, which Python reads as Infinity."""
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
        raise BadSnapshot(f"The header's {name} is malformed.")
    return value
