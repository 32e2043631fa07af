"""The forms of credentials: find them in bytes, or mask them.

A credential is recognised by a form that nothing else has: the prefix that a service gives to its
keys, the header of a private key, a password in an address.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_WANDB = (
    rb"(?i:[._ -]?(?:login|(?:api[_-]?)?key))[^\n\w]{0,6}(?:key[^\n\w]{1,4})?"
    rb"[0-9a-f]{40}(?![0-9A-Za-z])"
)
_PRIVATE_KEY = "a private key"
# Only its beginning has a form: what follows are lines of base64, perhaps in a difference.
_REST_OF_KEY = re.compile(
    rb"[^\n]*(?:\n[+ -]?[\"'#*\t ]*(?:[A-Za-z0-9+/=]{0,100}|[A-Z][\w-]{1,20}: [^\n]{0,100})"
    rb"(?:\\[nr])?[\"',\t\r ]*(?=\n|\Z))*"
)
# Each form begins with one certain byte, so that the search stops at few others.
_FORMS: dict[str, tuple[bytes, ...]] = {
    _PRIVATE_KEY: (
        rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        rb"(?:\\[rn]|[\s\"'+,#*]){0,40}(?:[A-Za-z0-9+/]{32}|Proc-Type|Version|Comment)",
    ),
    "an AWS key": (rb"A(?:KIA|SIA)[A-Z2-7]{16}(?![A-Za-z0-9])",),
    "an Anthropic key": (rb"sk-ant-[\w-]{30,}",),
    "a Google key": (rb"AIza[\w-]{35}(?![\w-])", rb"GOCSPX-[\w-]{20,}", rb"ya29\.[\w-]{30,}"),
    "a GitHub token": (rb"gh[oprsu]_[A-Za-z0-9]{36,}", rb"github_pat_\w{50,}"),
    "a GitLab token": (rb"gl(?:pat|dt|rt|ptt|agent|soat)-[\w-]{20,}",),
    "a Hugging Face token": (rb"hf_[A-Za-z0-9]{30,}(?![A-Za-z0-9])",),
    "an OpenAI key": (rb"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9][\w-]{31,}",),
    "a Stripe key": (rb"sk_live_[A-Za-z0-9]{20,}", rb"rk_live_[A-Za-z0-9]{20,}"),
    "a Slack token": (rb"xox[abeoprs]-[\w-]{20,}", rb"xapp-[\w-]{20,}"),
    "a Slack webhook": (rb"hooks\.slack\.com/services/T\w{1,20}/B\w{1,20}/\w{16,}",),
    "a SendGrid key": (rb"SG\.[\w-]{16,100}\.[\w-]{16,}",),
    "an npm token": (rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])",),
    "a PyPI token": (rb"pypi-AgE[\w-]{50,}",),
    "a Docker token": (rb"dckr_pat_[\w-]{20,}",),
    "a Databricks token": (rb"dapi[0-9a-f]{32}(?![0-9a-f])",),
    "a Replicate token": (rb"r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])",),
    "a Groq key": (rb"gsk_[A-Za-z0-9]{48,}",),
    "an NVIDIA key": (rb"nvapi-[\w-]{40,}",),
    "a Weights & Biases key": (
        rb"wandb" + _WANDB,
        rb"WANDB" + _WANDB,
        rb"wandb_v\d_\w{40,}",
    ),
    "a JSON web token": (rb"eyJ[\w-]{10,500}\.eyJ[\w-]{10,2000}\.[\w-]{10,}",),
    "a password in an address": (
        rb"://[^\s:/@?#'\"<>{}$*%]{1,100}:(?P<password>[^\s:/@?#'\"<>{}$*%]{3,100})@[\w.-]",
    ),
}
_NO_WORD_BEFORE = rb"(?<![A-Za-z0-9].)"  # the byte before the first
# What stands in documents and tests where a secret would.
_EXAMPLE = re.compile(
    rb"EXAMPLE|(?i:pass(?:word|wd)?|pwd|secret|token|user(?:name)?|changeme|your\W?\w*|my\W?\w*)\Z"
)
_FEWEST_DIFFERENT = 8  # bytes: hf_xxxx... has fewer
_ALLOWED = re.compile(rb"pragma: ?(?:allow|white)list secret")  # as detect-secrets has it
_BLOCK = 4 << 20
_LONGEST = 4 << 10  # of a credential, which may lie across two blocks
_TEXT = 8 << 10


def search(data: bytes) -> Iterator[tuple[int, str]]:
    """Each credential's line in ``data``, from 1, and its kind."""
    expression, kinds = _expression()
    line, counted = 1, 0
    for found in expression.finditer(data):
        if _is_example(found) or _is_allowed(found):
            continue
        line += data.count(b"\n", counted, found.start())
        counted = found.start()
        yield line, kinds[int(str(found.lastgroup).removeprefix("form"))]


def in_content(content: bytes | Path) -> Iterator[tuple[int, str]]:
    """The same for a file; one that is no text has none."""
    if isinstance(content, bytes):
        if b"\0" not in content[:_TEXT]:
            yield from search(content)
        return
    seen = set[tuple[int, str]]()
    line, before = 1, b""
    with content.open("rb") as file:
        while block := file.read(_BLOCK):
            if not before and b"\0" in block[:_TEXT]:
                return
            data = before + block
            for at, kind in search(data):
                if (found := (line + at - 1, kind)) not in seen:
                    seen.add(found)
                    yield found
            before = data[-_LONGEST:]
            line += data.count(b"\n", 0, len(data) - len(before))


def masked(data: bytes) -> bytes:
    """The same with ``***`` in the place of each credential, for what is made to be passed on."""
    expression, kinds = _expression()
    parts: list[bytes] = []
    done = 0
    for found in expression.finditer(data):
        if found.start() < done or _is_example(found) or _is_allowed(found):
            continue
        kind = kinds[int(str(found.lastgroup).removeprefix("form"))]
        parts += [data[done : found.start()], b"***"]
        done = found.end()
        if kind == _PRIVATE_KEY and (rest := _REST_OF_KEY.match(data, done)):
            done = rest.end()
    return b"".join([*parts, data[done:]])


def _is_example(found: re.Match[bytes]) -> bool:
    value = found["password"] or found[0]
    few = 0 if found["password"] else _FEWEST_DIFFERENT
    return len(set(value)) < few or bool(_EXAMPLE.search(value))


def _is_allowed(found: re.Match[bytes]) -> bool:
    end = found.string.find(b"\n", found.end())
    return bool(_ALLOWED.search(found.string, found.end(), end if end >= 0 else len(found.string)))


@lru_cache(maxsize=1)  # it takes long to compile, and most captures have nothing new to look at
def _expression() -> tuple[re.Pattern[bytes], list[str]]:
    """All forms at once, by their first byte, and the kind of each: ``form7`` is of the seventh."""
    kinds: list[str] = []
    by_first: dict[bytes, list[bytes]] = {}
    for kind, forms in _FORMS.items():
        for form in forms:
            group = b"(?P<form%d>%s)" % (len(kinds), form[1:])
            by_first.setdefault(form[:1], []).append(group)
            kinds.append(kind)
    branches = (
        re.escape(first)
        + (_NO_WORD_BEFORE if first.isalnum() else b"")
        + b"(?:%s)" % b"|".join(all_)
        for first, all_ in by_first.items()
    )
    return re.compile(b"|".join(branches)), kinds
