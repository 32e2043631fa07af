"""The forms of credentials: find them in bytes, or mask them.

A credential is recognised by a form that nothing else has: the prefix that a service gives to its
keys, the header of a private key, a password in an address. ``FORMS`` is the only table of them:
the search in code reads it here, and ``redact`` reads it for what is recorded.
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
# Only its beginning has a form: what follows are lines of base64, perhaps in a difference.
_REST_OF_KEY = re.compile(
    rb"[^\n]*(?:\n[+ -]?[\"'#*\t ]*(?:[A-Za-z0-9+/=]{0,100}|[A-Z][\w-]{1,20}: [^\n]{0,100})"
    rb"(?:\\[nr])?[\"',\t\r ]*(?=\n|\Z))*"
)


class Form(NamedTuple):
    """How the credentials of one kind look.

    ``strict``: for the search in code, where each match becomes a warning. Each expression begins
    with one certain byte, so that the search stops at few others.
    ``loose``: for what is recorded, where a secret that is missed is worse than a word too many.
    Empty for what ``redact`` masks by its place or by the name that it is given to.
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
        (r"eyJ[\w-]{12,}(?:\.[\w-]*){0,4}",),  # any JSON in base64: Neptune's keys as well
    ),
    "a password in an address": Form(
        (
            rb"://[^\s:/@?#'\"<>{}$*%]{1,100}:"
            rb"(?P<password>[^\s:/@?#'\"<>{}$*%]{3,100})@[\w.-]",
        ),
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
        if kind == PRIVATE_KEY and (rest := _REST_OF_KEY.match(data, done)):
            done = rest.end()
    return b"".join([*parts, data[done:]])


def _is_example(found: re.Match[bytes]) -> bool:
    value = found["password"] or found[0]
    few = 0 if found["password"] else _FEWEST_DIFFERENT
    return len(set(value)) < few or bool(_EXAMPLE.search(value))


def _is_allowed(found: re.Match[bytes]) -> bool:
    end = found.string.find(b"\n", found.end())
    return bool(_ALLOWED.search(found.string, found.end(), end if end >= 0 else len(found.string)))


def loose_forms() -> str:
    """One regular expression for all loose forms; a prefix counts where no word goes on before."""
    forms = [form for each in FORMS.values() for form in each.loose]
    bare = "|".join(form for form in forms if not form[0].isalnum())
    prefixed = "|".join(form for form in forms if form[0].isalnum())
    return rf"{bare}|(?<![A-Za-z0-9])(?:{prefixed})"


@lru_cache(maxsize=1)  # it takes long to compile, and most captures have nothing new to look at
def _expression() -> tuple[re.Pattern[bytes], list[str]]:
    """All forms at once, by their first byte, and the kind of each: ``form7`` is of the seventh."""
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
