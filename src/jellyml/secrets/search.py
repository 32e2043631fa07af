"""Find the credentials in bytes and files, or mask them.

Idea: nearly every credential has a long run of word characters, and code has few. So the bytes are
mapped to two classes and the long runs are found, which takes a millisecond a megabyte. A form is
tried only if its literal prefix is at or just before a run, and is compiled then.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from jellyml.secrets import examples
from jellyml.secrets.patterns import FORMS, PRIVATE_KEY

# Only the beginning of a key has a form. Lines of base64 follow, possibly in a diff.
_REST_OF_KEY = re.compile(
    rb"[^\n]*(?:\n[+ -]?[\"'#*\t ]*(?:[A-Za-z0-9+/=]{0,100}|[A-Z][\w-]{1,20}: [^\n]{0,100})"
    rb"(?:\\[nr])?[\"',\t\r ]*(?=\n|\Z))*"
)
# A prefix is not part of a longer word. An escape is not part of it: \n, \x22, %22, \x1b[31m.
_NO_WORD_BEFORE = (
    rb"(?<![A-Za-z0-9]%(prefix)b)",
    rb"(?<=\\[abefnrtv0]%(prefix)b)",
    rb"(?<=\\x[0-9A-Fa-f]{2}%(prefix)b)",
    rb"(?<=\\u[0-9A-Fa-f]{4}%(prefix)b)",
    rb"(?<=\\[0-3][0-7]{2}%(prefix)b)",
    rb"(?<=%%[0-9A-Fa-f]{2}%(prefix)b)",
    rb"(?<=\[[A-Za-z]%(prefix)b)",
    rb"(?<=[\[;]\d[A-Za-z]%(prefix)b)",
    rb"(?<=[\[;]\d\d[A-Za-z]%(prefix)b)",
    rb"(?<=[\[;]\d{3}[A-Za-z]%(prefix)b)",
)
_ALLOWED = re.compile(
    rb"pragma: ?(?:allow|white)list secret"
)  # the same comment as in detect-secrets
_WORD = bytes(byte for byte in range(128) if chr(byte).isalnum()) + b"_-+/%"
_CLASSES = bytes(ord("w") if byte in _WORD else ord(" ") for byte in range(256))
_RUN = b"w" * 20  # no form except those of _ANYWHERE has a shorter one
_NEAR = 64  # bytes before a run: the name to which a key is assigned
_ANYWHERE = (b"://", b"machine ", b"-----BEGIN ")  # prefixes of forms that need no run nearby
_LONGEST_LINE = 4 << 10  # bytes that are searched for that comment
_BLOCK = 4 << 20
_LONGEST = 8 << 10  # bytes of a credential, which may span two blocks
_HEAD = 8 << 10
_PLAIN = "utf-8"
_MARKS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNMARKED = {  # which of four bytes are zero in text that is mostly ASCII
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
}


class _Found(NamedTuple):
    start: int
    end: int
    kind: str


def search(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the line in ``data``, from 1, and the kind of each credential."""
    line, counted = 1, 0
    for found in _found(data):
        line += data.count(b"\n", counted, found.start)
        counted = found.start
        yield line, found.kind


def in_content(content: bytes | Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of each credential in a file; none for a binary file."""
    if isinstance(content, bytes):
        encoding = _encoding(content[:_HEAD])
        if encoding:
            yield from search(_utf8(content, encoding))
        return
    seen = set[tuple[int, str]]()
    line, before = 1, b""
    for block in _blocks(content):
        data = before + block
        for at, kind in search(data):
            if (credential := (line + at - 1, kind)) not in seen:
                seen.add(credential)
                yield credential
        before = data[-_LONGEST:]
        line += data.count(b"\n", 0, len(data) - len(before))


def in_text(text: str) -> list[tuple[int, str]]:
    """Return the line and the kind of each credential in a message or a name."""
    return list(search(text.encode("utf-8", "surrogateescape")))


def masked(data: bytes) -> bytes:
    """Return ``data`` with ``***`` in place of each credential."""
    parts: list[bytes] = []
    end = 0
    for found in _found(data):
        if found.start < end:
            continue
        parts += [data[end : found.start], b"***"]
        end = found.end
        if found.kind == PRIVATE_KEY and (rest := _REST_OF_KEY.match(data, end)):
            end = rest.end()
    return b"".join([*parts, data[end:]]) if parts else data


def masked_text(text: str) -> str:
    """Return a text with ``***`` in place of each credential; unlike ``redact`` nothing else."""
    data = text.encode("utf-8", "surrogatepass")
    hidden = masked(data)
    return text if hidden is data else hidden.decode("utf-8", "surrogatepass")


def masked_tree(value: object) -> object:
    """Return a value of dictionaries, lists and texts with ``***`` in place of each credential."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {masked_tree(name): masked_tree(each) for name, each in value.items()}
    return [masked_tree(each) for each in value] if isinstance(value, list | tuple) else value


def _found(data: bytes) -> list[_Found]:
    """Return the credentials in the order of their places; of two that overlap, the first."""
    found: list[_Found] = []
    # A form that is further up in the table is more specific.
    for one in sorted(_all(data), key=lambda one: one.start):
        if not found or one.start >= found[-1].end:
            found.append(one)
    return found


def _all(data: bytes) -> Iterator[_Found]:
    near = _near_runs(data)
    if not near and not any(prefix in data for prefix in _ANYWHERE):
        return
    for kind, prefix, rest in _rows():
        if prefix not in (data if prefix in _ANYWHERE else near):
            continue
        for match in _expression(prefix, rest).finditer(data):
            start, end = match.span("secret" if match.re.groups else 0)
            body = start + len(prefix) if start == match.start() else start
            if not examples.is_example(data[start:end], data[body:end]) and not _is_allowed(
                data, end
            ):
                yield _Found(start, end, kind)


def _near_runs(data: bytes) -> bytes:
    """Return the long runs of word characters, each with the bytes before it."""
    classes = data.translate(_CLASSES)
    pieces: list[bytes] = []
    start = classes.find(_RUN)
    while start >= 0:
        end = classes.find(b" ", start)
        end = len(data) if end < 0 else end
        pieces.append(data[max(0, start - _NEAR) : end])
        start = classes.find(_RUN, end)
    return b"\n".join(pieces)


def _is_allowed(data: bytes, at: int) -> bool:
    end = data.find(b"\n", at, at + _LONGEST_LINE)
    return bool(_ALLOWED.search(data, at, end if end >= 0 else at + _LONGEST_LINE))


@lru_cache(maxsize=1)
def _rows() -> list[tuple[str, bytes, bytes]]:
    """Return the kind, one literal prefix and what follows it, for all strict forms."""
    return [
        (kind, prefix.encode(), rest.encode())
        for kind, form in FORMS.items()
        for prefixes, rest in form.strict
        for prefix in re.split(r"(?<=\S) (?=\S)", prefixes)
    ]


@lru_cache(maxsize=512)
def _expression(prefix: bytes, rest: bytes) -> re.Pattern[bytes]:
    literal = re.escape(prefix)
    before = b""
    if prefix[:1].isalnum():
        before = b"(?:%s)" % b"|".join(each % {b"prefix": literal} for each in _NO_WORD_BEFORE)
    return re.compile(literal + before + rest)


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the text of a file as UTF-8; nothing for a binary file."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        encoding = _encoding(head)
        if encoding is None:
            return
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        block = head + file.read(_BLOCK - len(head))
        while block:
            yield block if encoding == _PLAIN else decoder.decode(block).encode("utf-8", "replace")
            block = file.read(_BLOCK)


def _utf8(data: bytes, encoding: str) -> bytes:
    return data if encoding == _PLAIN else data.decode(encoding, "replace").encode()


def _encoding(head: bytes) -> str | None:
    """Return the encoding of a text by its first bytes; None if it is binary."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return _PLAIN
    units = head[: len(head) // 4 * 4] or b"\1\1\1\1"
    zeros = [units[place::4].count(0) / (len(units) // 4) for place in range(4)]
    if any(0.1 < share < 0.7 for share in zeros):
        return None
    first, second, third, fourth = (share > 0.5 for share in zeros)
    return _UNMARKED.get((first, second, third, fourth))
