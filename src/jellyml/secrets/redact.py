"""Mask secrets in the manifest: in command lines, addresses, notes and cells.

``redact_tree`` masks a whole section. A table of rules tells it the kind of each field.

A secret is recognised by its name (``--api-key``, ``WANDB_API_KEY``, ``{"token": ...}``), by
its form (``hf_...``, a private key), or by its position (``user:password@`` and ``?query`` in an
address). A missed secret is worse than a masked word, so a doubtful name counts as a secret. The
exceptions are common names of machine learning (``max_tokens``, ``pad_token``, ``image_key``,
``num_key_value_heads``). One-letter options (``-p``) are not masked, except curl's ``-u``: they
mean port or path as often as password.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeAlias, TypeVar, cast

from jellyml.secrets import patterns, search

MASK = "***"

Rule = Literal["name", "text", "address", "arguments", "notes"]
"""The kind of a value: a name or a path, any text, an address, a command line, or notes."""

Rules: TypeAlias = "Rule | Mapping[str, Rules]"
"""A rule for every value below, or field name -> rules."""

ANY_FIELD = "*"
"""The key, in rules, for every field without a rule of its own; the default rule is "name"."""

_T = TypeVar("_T")

# Names are split into words, so WANDB_API_KEY, --wandb-api-key and wandbApiKey are equal.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Words that make any name a secret.
_SECRET = re.compile(
    r"passw(?:or)?d|pass_?phrase|pass_?code|secret(?!ar)|credential|authorization"
    r"|(?:^|_)(?:pwd|creds?|bearer)(?:_|$)"
    r"|(?:access|account|api|app|auth|encryption|master|private|signing|ssh)_?keys?(?:_|$)"
    r"|(?:access|api|app|auth|bearer|hf|hub|refresh|session)_?tokens?(?:_|$)"
)
# Endings that may make a name a secret: wandb_key is one, key_dim and token_count are not.
_PERHAPS = re.compile(r"(?:(?:^|_)(?:key|pass|pw|o?auth)|token)$")
_ORDINARY = re.compile(
    # The location, the name or the length of a secret.
    r"_(?:count|dir|env|file|folder|len|length|limit|name|path|size|ttl|type|ur[il]|var)$"
    # Terms of machine learning and databases.
    r"|(?:^|_)(?:answer|audio|batch|cache|caption|class|column|config|content|data|dataset|dict"
    r"|document|feature|field|foreign|group|image|index|input|label|loss|map|mask|metric|monitor"
    r"|output|partition|primary|prng|prompt|public|query|question|random|registry|rng|shard|sort"
    r"|state|target|text|video|vision)_key$"
    r"|(?:^|_)(?:audio|begin|blank|bos|class|cls|control|dist|end|eos|first|forced|image|last"
    r"|mask|max|min|new|next|num|of|pad|per|placeholder|prompt|register|sep|special|start|stop"
    r"|text|think|tool|trigger|unk|video|vision|word)_token$|(?:^|_)subtoken$"
    r"|(?:^|_)(?:backward|band|first|forward|high|low|multi|one|second|single|two)_pass$"
)
_SWITCH = re.compile(r"(?:true|false|yes|no|on|off|none|null|auto|\*\*\*)?", re.IGNORECASE)
_NUMBER = re.compile(r"[-+.\d]{1,5}|\d[.\de+-]{0,7}")

# Values that are secrets by their form, under any name.
_TOKEN = re.compile(
    rf"{patterns.loose_forms()}"
    r"|(?<=\blogin[ \x1f])\w{20,}"  # wandb login 0123...
    r"|(?<=\bBearer[ \x1f])[\w.~+/=-]{8,}"
)
# Too long for a word; _looks_random decides. It never takes hexadecimal for random: the manifest
# must keep commit ids and digests.
_LONG = re.compile(r"[A-Za-z0-9]{24,}")

_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9+.-]{0,30}://)((?:[^\s\"'<>`\\]|\\(?![\"']))+)"
)
# A password may hold characters that should have been quoted in an address: / ? #.
_USER = re.compile(r"[^/?#]*@|[^/?#:@\[]*:(?!\d*(?:[/?#]|$)).*@", re.DOTALL)
# Such a password in an address that is cut off before the @.
_TORN_USER = re.compile(r"[^/?#:@\[]*:(?!\d*(?:[/?#]|$))")
# user@host:path of ssh, and user:password@host without a scheme (proxies).
_SSH_USER = re.compile(r"[^/\\@]*@(?=[^/\\]*:)")
_BARE_USER = re.compile(r"(?<![\w./@:*-])[\w.+-]+:[^\s:@/\"'<>]+@(?!sha\d+:)(?=[\w-])")
_GIT_USER = "git@"  # the common user name of ssh, not a secret

# Matches the name in: name = value, "name": value, os.environ["NAME"] = value, name: str = value;
# and in: --name value, ["--name", "value"], setdefault("NAME", "value"), %env NAME value.
_NAMED = re.compile(
    r"""(?<![\w.-])(?:
        (?P<name>-{0,2}[A-Za-z_][\w.-]{0,100}) \\*["']?\]? \s{0,9}
        (?: :\s{0,9}(?:str|Optional\[str\]|str\s\|\sNone)\s{0,9}= | :=|=>|==?|: ) \s{0,9}
      | (?P<option>(?<=%env[ ])\w{1,100}(?=[ ])|(?<=%set_env[ ])\w{1,100}(?=[ ])
          |--[A-Za-z][\w.-]{0,100}|(?<=["'])[A-Z][A-Z0-9_]{0,100}(?=["'],)) ["']?[\s,]{1,9}
    )""",
    re.VERBOSE,
)
# The scheme comes before the secret: Authorization: Basic dXNlcjpwYXNz.
_SCHEME = re.compile(
    r"(authorization\\*[\"']?\s{0,9}[:=]\s{0,9}[a-z]{0,2}\\*[\"']?[a-z][\w-]{0,20}[ \x1f])"
    r"[^\s\"'\\]+",
    re.IGNORECASE,
)
# The password of a pair: curl -u name:password, auth=("name", "password").
_LOGIN = re.compile(
    r"(\bcurl\b[^|;&]{0,300}?[\s\"'](?:-[uU]|--(?:proxy-)?user)[\s=,\\\"']{0,6}[^\s:\"'\\]{1,100}:"
    r"|(?:\bauth\s{0,9}=\s{0,9}|Auth)\(\s{0,9}\\*[\"'][^\"'\n]{0,100}[\"']\s{0,9},\s{0,9}\\*[\"'])"
    r"[^\s\"'\\]+"
)
# The white space between two words that were joined.
_JOINT = "\x1f"
_OPTIONS = r"(?:\s+-{1,2}[A-Za-z][\w-]*(?:=\S*)?)*"
# The secret follows other words. Each expression masks one word after its group.
_AFTER_WORDS = (
    _LOGIN,
    _SCHEME,
    # curl -u NAME PASSWORD; the word after a name alone that is no address and no option.
    re.compile(
        r"(\bcurl\b(?:\s[^|;&]{0,300}?)?\s(?:-[uU]|--(?:proxy-)?user)[\s=][^\s:\"'\\]{1,100}\s)"
        r"(?!-|[A-Za-z][\w+.-]*://|[\w-]+\.[\w.-]+(?:[/:\s]|\Z))[^\s\"'\\]+"
    ),
    # wandb login KEY, vault login TOKEN
    re.compile(
        rf"(\b(?:wandb|vault|hf|huggingface-cli|comet|neptune)\s+(?:auth\s+)?login{_OPTIONS}\s+)[\w.-]{{16,}}"
    ),
    # docker login -p PASSWORD, sshpass -p PASSWORD, mysql -pPASSWORD
    re.compile(
        r"(\b(?:(?:docker|podman|helm|oc|az|twine|registry)\s+(?:registry\s+)?(?:login|upload)|sshpass)"
        r"\b[^|;&]{0,300}?\s-p[\s=]?)[^\s\"'\\-][^\s\"'\\]*"
    ),
    re.compile(r"(\b(?:mysql|mysqldump|mariadb)\b[^|;&]{0,300}?\s-p)[^\s\"'\\]+"),
)
_VALUE = re.compile(
    r"""[A-Za-z]{0,2}(?P<triple>\\*(?:\"""|'''))(?P<block>(?s:.*?)(?=(?P=triple)|\Z))
      | [A-Za-z]{0,2}(?P<quote>\\*["'])(?P<line>(?:(?!(?P=quote))(?:\\.|.))*)
      | (?P<bare>[^\s,;&|"'(){}\[\]<>\\]{1,1024})""",
    re.VERBOSE,
)
_SHORT = 200  # characters of a name
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")
_SETTING = re.compile(r"[A-Za-z]\w*_\w+")  # aws configure set aws_secret_access_key VALUE
_NAMED_ARGUMENT = re.compile(r"([-+~]{0,2}[A-Za-z_][\w.-]{0,100}=).*", re.DOTALL)


def redact_tree(section: _T, rules: Rules = "name") -> _T:
    """Return a section of dictionaries, lists and values with every secret masked.

    Every string is masked by its rule, and every key as a name. Other values are unchanged.
    """
    return cast("_T", _redacted(section, rules))


def _redacted(value: object, rules: Rules) -> object:
    if rules == "notes":
        return mask_data(value)
    if isinstance(value, str):
        return _mask_string(value, rules)
    if isinstance(value, list):
        if rules == "arguments":
            return mask_arguments(value)
        return [_redacted(each, rules) for each in value]
    if isinstance(value, Mapping):
        return {
            _mask_name(name): _redacted(each, _below(rules, name)) for name, each in value.items()
        }
    return value


def _below(rules: Rules, name: str) -> Rules:
    if isinstance(rules, str):
        return rules
    return rules.get(name, rules.get(ANY_FIELD, "name"))


def _mask_string(text: str, rules: Rules) -> str:
    if rules == "address":
        return mask_url(text)
    return mask_text(text) if rules in ("text", "arguments") else _mask_name(text)


def _mask_name(text: str) -> str:
    return _mask_short(str(text)) if len(text) <= _SHORT else mask_forms(text)


@lru_cache(maxsize=4096)  # every capture of a process has the same package names
def _mask_short(text: str) -> str:
    return mask_forms(text)


def mask_arguments(arguments: Iterable[str]) -> list[str]:
    """Return a command line with the values of secret options and all other secrets masked.

    The words are masked one by one, then joined: some secrets are known by the words before them.
    """
    options = _with_options(word.replace(_JOINT, " ") for word in arguments)
    words = [_mask_argument(option, word) for option, word in options]
    # A program is named by its path or alone: /usr/bin/curl, curl.
    return _mask_by_command(_JOINT.join(words)).split(_JOINT) if words else []


def _mask_by_command(text: str) -> str:
    """Return a command line with the secrets masked that are known by the words before them."""
    for pattern in _AFTER_WORDS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


def _with_options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the option that it may belong to, or an empty string."""
    option = ""
    for word in words:
        yield "" if word.startswith("--") else option, word
        if _OPTION.fullmatch(word) or (_SETTING.fullmatch(word) and _secrecy(word) == "sure"):
            option = word
        elif not option.endswith("s"):  # --api-keys takes several
            option = ""


def mask_named(name: str, value: str) -> str:
    """Return the masked value of an option, a variable or a note called ``name``."""
    return MASK if is_secret(name, value) else mask_text(value)


def mask_text(text: str) -> str:
    """Return a text with every recognised secret masked."""
    text = mask_forms(search.masked_text(text))
    text = _ADDRESS.sub(lambda match: match[1] + _mask_rest(match[2]), text)
    text = _BARE_USER.sub(f"{MASK}@", text)
    return _mask_assigned(_mask_by_command(text))


def mask_url(url: str) -> str:
    """Return an address without user, password, query and fragment."""
    scheme, mark, rest = url.partition("://")
    if mark:
        rest = re.split("[?#]", _without_user(rest, _USER))[0]
        rest = "" if _TORN_USER.match(rest) else rest
    elif "::" in url:  # ext::COMMAND
        return mask_text(url)
    else:
        scheme = _without_user(scheme, _SSH_USER)
    return mask_forms(scheme + mark + rest)


def mask_data(value: object, name: str = "") -> object:
    """Return masked notes: strings, numbers, and nested lists and dictionaries."""
    if isinstance(value, dict):
        return {mask_forms(key): mask_data(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        # It may be a command line: --token and its value.
        options = [option for option, _ in _with_options(map(str, value))]
        return [
            mask_data(item, option if option and is_secret(option, str(item)) else name)
            for option, item in zip(options, value, strict=True)
        ]
    if isinstance(value, str):
        return mask_named(name, value)
    return MASK if is_secret(name, str(value)) else value


def is_secret(name: str, value: str) -> bool:
    """Return True if a value called ``name`` is a secret; not for ``token=False`` or ``key=3``."""
    secrecy = _secrecy(name)
    if secrecy == "none" or _SWITCH.fullmatch(value):
        return False
    return secrecy == "sure" or not _NUMBER.fullmatch(value)


def _secrecy(name: str) -> Literal["none", "perhaps", "sure"]:
    words = "_".join(_WORDS.findall(name)).lower()
    if _ORDINARY.search(words):
        return "none"
    if _SECRET.search(words):
        return "sure"
    return "perhaps" if _PERHAPS.search(words) else "none"


def _mask_argument(option: str, word: str) -> str:
    if option and is_secret(option, word):
        return MASK
    named = _NAMED_ARGUMENT.fullmatch(word)
    if named and is_secret(named[1], word[named.end(1) :]):
        return named[1] + MASK
    return mask_text(word)


def mask_forms(text: str) -> str:
    """Return a name or a path with only tokens masked, which need no name to be recognised."""
    text = _TOKEN.sub(MASK, text)
    return _LONG.sub(lambda match: MASK if _looks_random(match[0]) else match[0], text)


def _mask_rest(rest: str) -> str:
    """Return the masked part of an address after ``://``."""
    placed = _without_user(rest, _USER)
    user = f"{MASK}@" if placed != rest else ""
    location = re.split("[?#]", placed)[0]
    query = placed[len(location) :]
    return user + location + (query[0] + MASK if query else "")


def _without_user(rest: str, pattern: re.Pattern[str]) -> str:
    user = pattern.match(rest)
    return rest[user.end() :] if user and user[0] != _GIT_USER else rest


def _mask_assigned(text: str) -> str:
    parts = []
    copied = 0
    for named in _NAMED.finditer(text):
        start, end = _secret_of(named) if named.start() >= copied else (0, 0)
        if end:
            parts += [text[copied:start], MASK]
            copied = end
    return "".join([*parts, text[copied:]])


def _secret_of(named: re.Match[str]) -> tuple[int, int]:
    """Return the span of the secret that is assigned to this name; (0, 0) if none is."""
    name = named["name"] or named["option"]
    secrecy = _secrecy(name)
    value = _VALUE.match(named.string, named.end()) if secrecy != "none" else None
    if not value or not value.lastgroup or not is_secret(name, value[value.lastgroup]):
        return 0, 0
    certain = secrecy == "sure" or bool(named["option"])
    if value["bare"] and _is_code(value, certain=certain):
        return 0, 0
    return value.span(value.lastgroup)


def _is_code(value: re.Match[str], *, certain: bool) -> bool:
    """Return True for a name or a call instead of a value: ``key=len``, ``password = read()``."""
    if value.string.startswith(("(", "["), value.end()):
        return True
    return not certain and not (len(value["bare"]) >= 8 and re.search(r"\d", value["bare"]))


def _looks_random(text: str) -> bool:
    """Return True if lower case, upper case and digits alternate more often than in words."""
    kinds = ["0" if sign.isdigit() else "a" if sign.islower() else "A" for sign in text[:200]]
    changes = sum(one != other for one, other in pairwise(kinds))
    return len(set(kinds)) == 3 and changes >= 0.4 * len(kinds)
