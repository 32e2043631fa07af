"""Which untracked files stay out of a snapshot: checkpoints, and what is over the limits.

A checkpoint is known by its bytes, not its name: it carries a filling, or it is in a format
for weights and over 1 MB. Without this every snapshot would hold all the earlier ones.
1 MB is 1,000,000 bytes here, as the limits' defaults count it.
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
# As far as a binary file is searched for a filling; beyond it only formats are recognised.
_SEARCHED = 64 * _MB
_HEAD = 8 << 10
_TAIL = 64 << 10
_HEADER = 1024

_LARGE = 1_000_000  # bytes; smaller tables are settings, samples and results
_MOST = 1000
# Names of data in formats that hold no weights; those that do are in the table.
_NAME = re.compile(
    rb"\.(?:[ct]sv|jsonl|ndjson|parquet|feather|arrow|avro|orc|mat|rds|rdata|dta|sav"
    rb"|db|sqlite3?|duckdb|[ml]db|tfrecords?|xlsx?|ods|zip|tar|t?gz|bz2|xz|zst|7z|rar"
    rb"|jpe?g|png|tiff?|webp|dcm|nii|wav|flac|mp[34]|ogg|avi|mov|mkv|las|laz|fastq|bam|vcf)\Z",
    re.IGNORECASE,
)
_DATA_SUFFIXES = tuple(map(str.encode, signatures.suffixes(signatures.Use.DATA)))


@dataclass(frozen=True, slots=True)
class Untracked:
    """A file that git does not know; ``path`` is relative to the root, as git gives it."""

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
    """The untracked files that a snapshot takes, and those it leaves out, ordered by path.

    Checkpoints are left out, and each file over ``max_file_size``; while the others together
    are over ``max_untracked`` the largest of them is left out. ``model`` is the file or folder
    that the snapshot is for: it stays out, however small. Other small weights do not, since a
    load would take what its snapshot does not hold.
    """
    reasons = {file: _reason(root, file, max_file_size, model) for file in files}
    total = sum(file.size for file, reason in reasons.items() if reason is None)
    for file in sorted(reasons, key=lambda file: (-file.size, file.path)):
        if total > max_untracked and reasons[file] is None:
            reasons[file] = "too much"
            total -= file.size
    kept = [file for file, reason in reasons.items() if reason is None]
    left_out = [
        LeftOut(os.fsdecode(file.path), reason, file.size)
        for file, reason in sorted(reasons.items(), key=lambda item: item[0].path)
        if reason
    ]
    return kept, left_out


def is_checkpoint(path: Path) -> bool:
    """True for a file that carries a filling, or holds weights in over 1 MB. Raises OSError.

    A link is none: git keeps it as a link, not what it leads to.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        return False
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEAD)
        if found.st_size > _MB and _holds_weights(file, head, found.st_size):
            return True
        # Text is never searched: code and documents may well speak of fillings.
        return b"\0" in head and _carries_filling(file, head, found.st_size)


def _reason(root: Path, file: Untracked, max_file_size: int, model: bytes | None) -> Reason | None:
    if model and (file.path == model or file.path.startswith(model + b"/")):
        return "checkpoint"
    try:
        if is_checkpoint(root / os.fsdecode(file.path)):
            return "checkpoint"
    except FileNotFoundError:
        return None  # gone since it was listed: whoever reads it next will see
    except OSError:
        return "unreadable"
    return "too large" if file.size > max_file_size else None


def _carries_filling(file: BinaryIO, head: bytes, size: int) -> bool:
    if signatures.is_snapshot_bundle(head):
        return True
    from jellyml.formats import unknown
    from jellyml.formats.record import CODE  # late: they take long to import, and are rarely asked

    if size > _SEARCHED:
        return CODE.magic in _tail(file, size)
    return any(_is_header(place.head(file, _HEADER)) for place in unknown.records(file, CODE))


def _is_header(data: bytes) -> bool:
    """JSON padded with NUL: what a mention of the magic in a string or an archive lacks."""
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
    """The length of a JSON object, 8 bytes, and then that object."""
    fits = 2 <= int.from_bytes(head[:8], "little") <= size - 8
    return fits and signatures.SAFETENSORS.matches(head)


def _is_onnx(head: bytes, size: int) -> bool:
    """The fields of a ModelProto in order: its version, who made it, then a graph that fits in."""
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
        at += 0 if field == 0x28 else value  # model_version is a number, the others are texts
    return False


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where it ends."""
    value = 0
    for shift, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    return 0, len(data)


def looks_like_data(path: bytes, size: int) -> bool:
    """Whether a file of this name and size is more likely data than a program."""
    named = _NAME.search(path) or path.lower().endswith(_DATA_SUFFIXES)
    return size >= _LARGE and bool(named)


def data_among(files: Iterable[Untracked]) -> tuple[Data, ...]:
    """The largest first; 1,000 at most."""
    found = [file for file in files if looks_like_data(file.path, file.size)]
    found.sort(key=lambda file: (-file.size, file.path))
    return tuple(Data(os.fsdecode(file.path), file.size) for file in found[:_MOST])
