"""The forms of credentials: find them in bytes, or mask them.

A credential is recognised by a characteristic form: the prefix that a service gives to its
keys, the header of a private key, a password in an address. ``FORMS`` is the only table of them.
The search in code uses it here, and ``redact`` uses it for the manifest.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_WANDB = (
    rb"(?i:[._ -]?(?:login|(?:api[_-]?)?key))[^\n\w]{0,6}(?:key[^\n\w]{1,4})?"
    rb"[0-9a-f]{40}(?![0-9A-Za-z])"
)
PRIVATE_KEY = "a private key"
# Only the beginning of a key has a form. Lines of base64 follow, possibly in a diff.
_REST_OF_KEY = re.compile(
    rb"[^\n]*(?:\n[+ -]?[\"'#*\t ]*(?:[A-Za-z0-9+/=]{0,100}|[A-Z][\w-]{1,20}: [^\n]{0,100})"
    rb"(?:\\[nr])?[\"',\t\r ]*(?=\n|\Z))*"
)


class Form(NamedTuple):
    """The form of one kind of credential, as regular expressions.

    ``strict``: for the search in code, where each match becomes a warning. Each expression begins
    with a literal byte, so that the search stops at few other bytes.
    ``loose``: for the manifest, where a missed secret is worse than a masked word. It is empty
    for a kind that ``redact`` masks by its position or by its name.
    """

    strict: tuple[bytes, ...]
    loose: tuple[str, ...] = ()


FORMS: dict[str, Form] = {
    PRIVATE_KEY: Form(
        (
            rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            rb"(?:\\[rn]|[\s\"'+,#*]){0,40}(?:[A-Za-z0-9+/]{32}|Proc-Type|Version|Comment)",
        ),
        (
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)"
            r"(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
        ),
    ),
    "an AWS key": Form(
        (rb"A(?:KIA|SIA)[A-Z2-7]{16}(?![A-Za-z0-9])",),
        (r"A(?:KIA|SIA|BIA|CCA|PKA)[A-Z0-9]{16}",),
    ),
    "an Anthropic key": Form(
        (rb"sk-ant-[\w-]{30,}",),
        (r"sk-ant-(?:[a-z0-9]+-){0,2}\w{20,}[\w-]*",),
    ),
    "a Google key": Form(
        (rb"AIza[\w-]{35}(?![\w-])", rb"GOCSPX-[\w-]{20,}", rb"ya29\.[\w-]{30,}"),
        (r"AIza[\w-]{30,}", r"GOCSPX-[\w-]{20,}", r"ya29\.[\w-]{20,}"),
    ),
    "a GitHub token": Form(
        (rb"gh[oprsu]_[A-Za-z0-9]{36,}", rb"github_pat_\w{50,}"),
        (r"gh[oprsu]_[A-Za-z0-9]{20,}", r"github_pat_\w{20,}"),
    ),
    "a GitLab token": Form(
        (rb"gl(?:pat|dt|rt|ptt|agent|soat)-[\w-]{20,}",),
        (r"gl[a-z]{2,5}-[\w-]{16,}",),
    ),
    "a Hugging Face token": Form(
        (rb"hf_[A-Za-z0-9]{30,}(?![A-Za-z0-9])",),
        (r"hf_[A-Za-z0-9]{20,}",),
    ),
    "an OpenAI key": Form(
        (rb"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9][\w-]{31,}",),
        (r"sk-(?:[a-z0-9]+-){0,3}\w{20,}[\w-]*",),
    ),
    "a Stripe key": Form(
        (rb"sk_live_[A-Za-z0-9]{20,}", rb"rk_live_[A-Za-z0-9]{20,}"),
        (r"sk_(?:live|test)_\w{10,}", r"rk_(?:live|test)_\w{10,}"),
    ),
    "a Slack token": Form(
        (rb"xox[abeoprs]-[\w-]{20,}", rb"xapp-[\w-]{20,}"),
        (r"xox[a-z]-[\w-]{10,}", r"xapp-[\w-]{10,}"),
    ),
    "a Slack webhook": Form(
        (rb"hooks\.slack\.com/services/T\w{1,20}/B\w{1,20}/\w{16,}",),
        (r"hooks\.slack\.com/services/T\w{1,20}/B\w{1,20}/\w{10,}",),
    ),
    "a SendGrid key": Form(
        (rb"SG\.[\w-]{16,100}\.[\w-]{16,}",),
        (r"SG\.[\w-]{16,}\.[\w-]{16,}",),
    ),
    "an npm token": Form(
        (rb"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])",),
        (r"npm_[A-Za-z0-9]{20,}",),
    ),
    "a PyPI token": Form((rb"pypi-AgE[\w-]{50,}",), (r"pypi-[\w-]{40,}",)),
    "a Docker token": Form((rb"dckr_pat_[\w-]{20,}",), (r"dckr_pat_[\w-]{20,}",)),
    "a Databricks token": Form((rb"dapi[0-9a-f]{32}(?![0-9a-f])",), (r"dapi[0-9a-f]{32}",)),
    "a Replicate token": Form((rb"r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])",), (r"r8_\w{20,}",)),
    "a Groq key": Form((rb"gsk_[A-Za-z0-9]{48,}",), (r"gsk_\w{20,}",)),
    "an NVIDIA key": Form((rb"nvapi-[\w-]{40,}",), (r"nvapi-[\w-]{20,}",)),
    "a Weights & Biases key": Form(
        (rb"wandb" + _WANDB, rb"WANDB" + _WANDB, rb"wandb_v\d_\w{40,}"),
        (r"wandb_v\d_\w{20,}",),
    ),
    "a JSON web token": Form(
        (rb"eyJ[\w-]{10,500}\.eyJ[\w-]{10,2000}\.[\w-]{10,}",),
        (r"eyJ[\w-]{12,}(?:\.[\w-]*){0,4}",),  # any JSON in base64, including Neptune's keys
    ),
    "a password in an address": Form(
        (
            rb"://[^\s:/@?#'\"<>{}$*%]{1,100}:"
            rb"(?P<password>[^\s:/@?#'\"<>{}$*%]{3,100})@[\w.-]",
        ),
    ),
}
_NO_WORD_BEFORE = rb"(?<![A-Za-z0-9].)"  # the byte before the first
# Placeholders for a secret in documentation and tests.
_EXAMPLE = re.compile(
    rb"EXAMPLE|(?i:pass(?:word|wd)?|pwd|secret|token|user(?:name)?|changeme|your\W?\w*|my\W?\w*)\Z"
)
_FEWEST_DIFFERENT = 8  # bytes: hf_xxxx... has fewer
_ALLOWED = re.compile(
    rb"pragma: ?(?:allow|white)list secret"
)  # the same comment as in detect-secrets
_BLOCK = 4 << 20
_LONGEST = 4 << 10  # bytes of a credential, which may span two blocks
_TEXT = 8 << 10


def search(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the line in ``data``, from 1, and the kind of each credential."""
    expression, kinds = _expression()
    line, counted = 1, 0
    for match in expression.finditer(data):
        if _is_example(match) or _is_allowed(match):
            continue
        line += data.count(b"\n", counted, match.start())
        counted = match.start()
        yield line, kinds[int(str(match.lastgroup).removeprefix("form"))]


def in_content(content: bytes | Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of each credential in a file; none for a binary file."""
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
                if (credential := (line + at - 1, kind)) not in seen:
                    seen.add(credential)
                    yield credential
            before = data[-_LONGEST:]
            line += data.count(b"\n", 0, len(data) - len(before))


def masked(data: bytes) -> bytes:
    """Return ``data`` with ``***`` in place of each credential."""
    expression, kinds = _expression()
    parts: list[bytes] = []
    end = 0
    for match in expression.finditer(data):
        if match.start() < end or _is_example(match) or _is_allowed(match):
            continue
        kind = kinds[int(str(match.lastgroup).removeprefix("form"))]
        parts += [data[end : match.start()], b"***"]
        end = match.end()
        if kind == PRIVATE_KEY and (rest := _REST_OF_KEY.match(data, end)):
            end = rest.end()
    return b"".join([*parts, data[end:]])


def _is_example(match: re.Match[bytes]) -> bool:
    value = match["password"] or match[0]
    few = 0 if match["password"] else _FEWEST_DIFFERENT
    return len(set(value)) < few or bool(_EXAMPLE.search(value))


def _is_allowed(match: re.Match[bytes]) -> bool:
    end = match.string.find(b"\n", match.end())
    return bool(_ALLOWED.search(match.string, match.end(), end if end >= 0 else len(match.string)))


def loose_forms() -> str:
    """Return one regular expression for all loose forms.

    A form that begins with a letter or digit matches only at the start of a word.
    """
    forms = [form for each in FORMS.values() for form in each.loose]
    bare = "|".join(form for form in forms if not form[0].isalnum())
    prefixed = "|".join(form for form in forms if form[0].isalnum())
    return rf"{bare}|(?<![A-Za-z0-9])(?:{prefixed})"


@lru_cache(maxsize=1)  # slow to compile, and most captures do not need it
def _expression() -> tuple[re.Pattern[bytes], list[str]]:
    """Return one expression for all strict forms, and their kinds.

    Group ``form7`` matches a credential of kind 7 in the list.
    """
    kinds: list[str] = []
    by_first: dict[bytes, list[bytes]] = {}
    for kind, forms in FORMS.items():
        for form in forms.strict:
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
