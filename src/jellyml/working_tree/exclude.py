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
from typing import BinaryIO, Literal

_MB = 1_000_000
# As far as a binary file is searched for a filling; beyond it only formats are recognised.
_SEARCHED = 64 * _MB
_HEAD = 8 << 10
_TAIL = 64 << 10
_HEADER = 1024

# Patterns, compiled when first asked: few untracked files are binary, and it takes milliseconds.
# The first bytes of formats that hold arrays. Pickles are among them: they are how torch (before
# 1.6), scikit-learn and joblib save a model, and nobody keeps code in one.
_SIGNATURE = (
    rb"(?s)GGUF(?:[\x01-\x0f]\0\0\0|\0\0\0[\x01-\x0f])|(?:lmgg|tjgg)..\0\0"  # llama.cpp
    rb"|\x89HDF\r\n\x1a\n"  # Keras
    rb"|\x93NUMPY"
    rb"|..\0\0TFL3"  # TensorFlow Lite
    rb"|\x80(?:[\x02\x03][(\]c}X\x8a]|[\x04\x05]\x95)"  # pickle, protocols 2 to 5
    # Flax: a msgpack map with a text for its first key, soon after it a first array.
    rb"|(?:[\x81-\x8f]|\xde..)[\xa1-\xbf].{1,4096}?(?:\xc7.|\xc8..|\xc9....)\x01\x93[\x90-\x9f]"
)
# Names in a zip, from a member's own header or the archive's directory. numpy's are all arrays,
# so that the first tells; a wheel or a data set may hold arrays too.
_ZIP = b"PK\x03\x04"
_NUMPY_ZIP = rb"(?s)PK\x03\x04.{26}[^\0]{1,255}?\.npy(?!\.)"
_WEIGHTS_ZIP = (  # torch (TorchScript and torch.export too), Keras
    rb"(?s)PK(?:\x03\x04.{26}|\x01\x02.{42})[^\0]{0,255}?"
    rb"(?:/data\.pkl|/archive_format|\.weights\.h5)(?!\.)"
)
# A filling without its header: the bundle that create_snapshot writes to a file.
_BUNDLE = rb"# v[23] git bundle\n(?:@[^\n]*\n)*[0-9a-f]{40,64} HEAD\n\nPACK"

Reason = Literal["checkpoint", "too large", "too much", "unreadable", "name", "promised"]
_EXPLAINED: dict[Reason, str] = {
    "checkpoint": "it is a checkpoint",
    "too large": "it is larger than max_file_size",
    "too much": "the untracked files together are larger than max_untracked",
    "unreadable": "it cannot be read",
    "promised": "it is hidden by a sparse checkout, and this partial clone does not have it",
    "name": "its name, or where it links to, stands for another place on some file system",
}


@dataclass(frozen=True, slots=True)
class Untracked:
    """A file that git does not know; ``path`` is relative to the root, as git gives it."""

    path: bytes
    size: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that a snapshot does not hold; ``os.fsencode`` gives the path's own bytes."""

    path: str
    reason: Reason
    size: int | None = None

    @property
    def explained(self) -> str:
        """The reason, as what follows the colon of a sentence."""
        size = "" if self.size is None else f" ({in_words(self.size)})"
        return _EXPLAINED[self.reason] + size


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
    if re.match(_BUNDLE, head):
        return True
    from jellyml.formats import CODE, scan  # late: they take long to import, and are rarely asked

    if size > _SEARCHED:
        return CODE.magic in _tail(file, size)
    return any(_is_header(place.head(file, _HEADER)) for place in scan.records(file, CODE))


def _is_header(data: bytes) -> bool:
    """JSON padded with NUL: what a mention of the magic in a string or an archive lacks."""
    return data.rstrip(b"\0").endswith(b"}") and data.endswith(b"\0")


def _holds_weights(file: BinaryIO, head: bytes, size: int) -> bool:
    if head.startswith(_ZIP):
        names = head + _tail(file, size)
        return bool(re.match(_NUMPY_ZIP, head) or re.search(_WEIGHTS_ZIP, names))
    return bool(re.match(_SIGNATURE, head)) or _is_safetensors(head, size) or _is_onnx(head, size)


def _tail(file: BinaryIO, size: int) -> bytes:
    from jellyml.formats.record import read_at

    return read_at(file, max(0, size - _TAIL), _TAIL)


def _is_safetensors(head: bytes, size: int) -> bool:
    """The length of a JSON object, 8 bytes, and then that object."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8


def _is_onnx(head: bytes, size: int) -> bool:
    """The fields of a ModelProto in order: its version, who made it, then a graph that fits in."""
    if head[:1] != b"\x08":  # ir_version, one byte
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


def in_words(size: int) -> str:
    """A number of bytes for people: ``31.4 MB``."""
    for unit, name in ((1000 * _MB, "GB"), (_MB, "MB"), (1000, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
