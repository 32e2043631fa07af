"""The header of a git bundle: the lines before its pack, with HEAD and other refs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from jellyml.errors import BadSnapshot
from jellyml.fs.output import OutputKind

_LONGEST = 4 << 20
_LINE = 4096
_REF = re.compile(rb"([0-9a-f]+) (.+)", re.DOTALL)
_SIGNATURE = re.compile(rb"# v(\d+) git bundle")
_WIDTHS = {"sha1": 40, "sha256": 64}
_FORMATS = (b"@object-format=sha1", b"@object-format=sha256")

INCOMPLETE = (
    "The code in this checkpoint is incomplete: it builds on commits or files it does not hold."
)
AGAIN = "get the checkpoint again: it may have been cut off or altered on its way."


@dataclass(frozen=True, slots=True)
class BundleHeader:
    """The parsed header. ``text`` is all its lines, with the empty line at the end."""

    head: str
    object_format: str
    text: bytes
    has_one_ref: bool  # HEAD is the only ref, and no line is repeated

    @property
    def size(self) -> int:
        return len(self.text)

    @property
    def with_one_ref(self) -> bytes:
        """Return the header with HEAD as its only ref; unchanged if it is already the only one."""
        if self.has_one_ref:
            return self.text
        lines = ["# v2 git bundle"]
        if self.object_format != "sha1":
            lines = ["# v3 git bundle", f"@object-format={self.object_format}"]
        return "\n".join([*lines, f"{self.head} HEAD", "", ""]).encode()


def read_header(pieces: Iterator[bytes]) -> tuple[BundleHeader, Iterator[bytes]]:
    """Split a bundle that arrives in pieces into its header and the remaining pieces.

    Raises BadSnapshot unless this is the header of a complete bundle with one HEAD.
    """
    start = bytearray()
    end = -1
    for piece in pieces:
        start += piece
        end = start.find(b"\n\n", max(0, len(start) - len(piece) - 1))
        if end >= 0 or len(start) > _LONGEST:
            break
    if not _SIGNATURE.match(start) or not 0 <= end <= _LONGEST:
        raise BadSnapshot("The code in this checkpoint is not a git bundle.", AGAIN)
    return _parse(bytes(start[: end + 2])), chain([bytes(start[end + 2 :])], pieces)


def with_one_ref(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a bundle with HEAD as its only ref; the pack is unchanged.

    Other refs are untrusted text, and would become lines of the file that the bundle is written to.
    Raises what ``read_header`` raises.
    """
    header, pack = read_header(pieces)
    yield header.with_one_ref
    yield from pack


def _parse(text: bytes) -> BundleHeader:
    """Parse the commit of HEAD and the object format; other refs are ignored."""
    lines = text[:-2].split(b"\n")
    if lines[0] not in (b"# v2 git bundle", b"# v3 git bundle"):
        raise BadSnapshot(
            "The code in this checkpoint is a bundle of a newer version of git.",
            "pip install --upgrade jellyml",
        )
    formats = [line for line in lines if line in _FORMATS]
    object_format = formats[-1].partition(b"=")[2].decode() if formats else "sha1"
    refs = [_ref(line) for line in lines[1:] if line not in _FORMATS]
    heads = [head for head, name in refs if name == b"HEAD"]
    if [len(head) for head in heads] != [_WIDTHS[object_format]]:
        raise BadSnapshot("The bundle in this checkpoint does not say which commit is its HEAD.")
    is_alone = len(refs) == 1 and len(formats) <= 1
    return BundleHeader(heads[0].decode(), object_format, text, is_alone)


def _ref(line: bytes) -> tuple[bytes, bytes]:
    if line.startswith((b"-", b"@filter=")):
        raise BadSnapshot(INCOMPLETE)
    ref = _REF.fullmatch(line)
    if not ref or len(line) > _LINE:
        raise BadSnapshot("The code in this checkpoint is not a git bundle.", AGAIN)
    return ref[1], ref[2]


def _head_alone(start: bytes) -> str | None:
    """Return the commit of a bundle whose only ref is HEAD, from its first bytes; else None."""
    try:
        header, _ = read_header(iter([start]))
    except BadSnapshot:
        return None
    return header.head if header.has_one_ref else None


# The file of ``out_git_bundle_path``: each run of the same program writes it again.
BUNDLE = OutputKind("bundle", lambda start: _head_alone(start) is not None)


def bundle_of(commit: str | None) -> OutputKind:
    """Return the kind of output that replaces only a bundle of the same commit.

    A bundle that a user made with ``git bundle create FILE HEAD`` looks like JellyML's.
    """
    return OutputKind(
        "bundle of the same commit",
        lambda start: commit is not None and _head_alone(start) == commit,
    )
