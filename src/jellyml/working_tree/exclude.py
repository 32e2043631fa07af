"""Choose the untracked files to leave out of a snapshot: checkpoints, and files over the limits.

A checkpoint is recognised by its bytes, not its name: it holds a filling, or it is in a format
for weights and over 1 MB. Otherwise every snapshot would contain all the earlier ones.
1 MB is 1,000,000 bytes here, as in the default limits.
"""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jellyml.formats import signatures
from jellyml.snapshot.facts import Data, LeftOut, Reason

_MB = 1_000_000
# Bytes: a larger binary file is searched for a filling only at its end.
_SEARCHED = 64 * _MB
_HEAD = 8 << 10
_TAIL = 64 << 10
_HEADER = 1024

_LARGE = 1_000_000  # bytes; smaller tables are settings, samples and results
_MOST = 1000
# Names of data in formats without weights; ``signatures`` has the others.
_NAME = re.compile(
    rb"\.(?:[ct]sv|jsonl|ndjson|parquet|feather|arrow|avro|orc|mat|rds|rdata|dta|sav"
    rb"|db|sqlite3?|duckdb|[ml]db|tfrecords?|xlsx?|ods|zip|tar|t?gz|bz2|xz|zst|7z|rar"
    rb"|jpe?g|png|tiff?|webp|dcm|nii|wav|flac|mp[34]|ogg|avi|mov|mkv|las|laz|fastq|bam|vcf)\Z",
    re.IGNORECASE,
)
_DATA_SUFFIXES = tuple(map(str.encode, signatures.suffixes(signatures.Use.DATA)))


@dataclass(frozen=True, slots=True)
class Untracked:
    """An untracked file; ``path`` is relative to the root, in git's bytes; ``size`` in bytes."""

    path: bytes
    size: int


def choose(
    files: Iterable[Untracked],
    *,
    root: Path,
    max_file_size: int = 50 * _MB,
    max_untracked: int = 250 * _MB,
    model: bytes | None = None,
) -> tuple[list[Untracked], list[LeftOut]]:
    """Return the untracked files to include, and those left out, ordered by path.

    Checkpoints and files over ``max_file_size`` bytes are left out. While the others together
    exceed ``max_untracked`` bytes, the largest is left out. ``model`` is the file or folder that
    the snapshot is for; it is left out at any size. Other small weights are included: a load
    removes files that its snapshot does not hold.
    """
    reasons = {file: _reason(root, file, max_file_size, model) for file in files}
    total = sum(file.size for file, reason in reasons.items() if reason is None)
    for file in sorted(reasons, key=lambda file: (-file.size, file.path)):
        if total > max_untracked and reasons[file] is None:
            reasons[file] = "too much"
            total -= file.size
    included = [file for file, reason in reasons.items() if reason is None]
    left_out = [
        LeftOut(os.fsdecode(file.path), reason, file.size)
        for file, reason in sorted(reasons.items(), key=lambda item: item[0].path)
        if reason
    ]
    return included, left_out


def is_checkpoint(path: Path) -> bool:
    """Return True for a file with a filling, or with weights and over 1 MB. Raise OSError.

    A link is not a checkpoint: git stores the link, not its target.
    """
    info = path.lstat()
    if not stat.S_ISREG(info.st_mode):
        return False
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEAD)
        if info.st_size > _MB and _holds_weights(file, head, info.st_size):
            return True
        # Text is not searched: code and documents may mention the magic bytes.
        return b"\0" in head and _carries_filling(file, head, info.st_size)


def _reason(root: Path, file: Untracked, max_file_size: int, model: bytes | None) -> Reason | None:
    if model and (file.path == model or file.path.startswith(model + b"/")):
        return "checkpoint"
    try:
        if is_checkpoint(root / os.fsdecode(file.path)):
            return "checkpoint"
    except FileNotFoundError:
        return None  # removed since it was listed; the next read notices
    except OSError:
        return "unreadable"
    return "too large" if file.size > max_file_size else None


def _carries_filling(file: BinaryIO, head: bytes, size: int) -> bool:
    if signatures.is_snapshot_bundle(head):
        return True
    from jellyml.formats import unknown
    from jellyml.formats.record import CODE  # late: slow to import, and rarely needed

    if size > _SEARCHED:
        return CODE.magic in _tail(file, size)
    return any(_is_header(place.head(file, _HEADER)) for place in unknown.records(file, CODE))


def _is_header(data: bytes) -> bool:
    """Return True for JSON padded with NUL, unlike the magic bytes in a string or an archive."""
    return data.rstrip(b"\0").endswith(b"}") and data.endswith(b"\0")


def _holds_weights(file: BinaryIO, head: bytes, size: int) -> bool:
    if head.startswith(signatures.ZIP):
        return signatures.begins_as_arrays(head) or signatures.names_arrays(
            head + _tail(file, size)
        )
    return signatures.begins_as_arrays(head) or _is_safetensors(head, size) or _is_onnx(head, size)


def _tail(file: BinaryIO, size: int) -> bytes:
    from jellyml.formats.record import read_at

    return read_at(file, max(0, size - _TAIL), _TAIL)


def _is_safetensors(head: bytes, size: int) -> bool:
    """Return True if 8 bytes with the length of a JSON object come first, then the object."""
    fits = 2 <= int.from_bytes(head[:8], "little") <= size - 8
    return fits and signatures.SAFETENSORS.matches(head)


def _is_onnx(head: bytes, size: int) -> bool:
    """Return True for a ModelProto: version, producer, then a graph that fits into the file."""
    if not signatures.ONNX.matches(head):  # ir_version, one byte
        return False
    at = 2
    while at < len(head):
        field = head[at]
        value, at = _varint(head, at + 1)
        if field == 0x3A:  # graph
            return size // 2 < at + value <= size
        if field not in (0x12, 0x1A, 0x22, 0x28, 0x32):
            return False
        at += 0 if field == 0x28 else value  # model_version is a number, the others are strings
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and the offset after it."""
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    return 0, len(data)


def looks_like_data(path: bytes, size: int) -> bool:
    """Return True if a file of this name and size is more likely data than code."""
    named = _NAME.search(path) or path.lower().endswith(_DATA_SUFFIXES)
    return size >= _LARGE and bool(named)


def data_among(files: Iterable[Untracked]) -> tuple[Data, ...]:
    """Return the files that look like data, the largest first, 1,000 at most."""
    data = [file for file in files if looks_like_data(file.path, file.size)]
    data.sort(key=lambda file: (-file.size, file.path))
    return tuple(Data(os.fsdecode(file.path), file.size) for file in data[:_MOST])
