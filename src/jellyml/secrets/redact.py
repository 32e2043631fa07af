"""What is never recorded as it is: secrets in command lines, addresses, notes and cells.

``redact_tree`` masks a whole section of a record, told by a table of rules what its fields are.

A secret is known by the name it is given to (``--api-key``, ``WANDB_API_KEY``,
``{"token": ...}``), by its own form (``hf_...``, a private key), or by where it stands
(``user:password@`` and ``?query`` in an address). One missed is worse than one word too many,
so a name that might be one counts; the exceptions are what machine learning calls by such
names every day (``max_tokens``, ``pad_token``, ``image_key``, ``num_key_value_heads``).
One-letter options (``-p``) are not masked: they mean port and path as often as password; but
for curl's ``-u``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Literal, TypeAlias, TypeVar, cast

from jellyml.secrets import patterns

MASK = "***"

Rule = Literal["name", "text", "address", "arguments", "notes"]
"""What a value is: a name or a path, any text, an address, a command line, or notes."""

Rules: TypeAlias = "Rule | Mapping[str, Rules]"
"""A rule for all that is below, or the rules by the names of the fields."""

ANY_FIELD = "*"
"""In rules: each field that they do not name. Without it such a field is masked as a name."""

_T = TypeVar("_T")

# Names are read word by word, so WANDB_API_KEY, --wandb-api-key and wandbApiKey are one.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A secret wherever in the name it stands.
_SECRET = re.compile(
    r"passw(?:or)?d|pass_?phrase|pass_?code|secret(?!ar)|credential|authorization"
    r"|(?:^|_)(?:pwd|creds?|bearer)(?:_|$)"
    r"|(?:access|account|api|app|auth|encryption|master|private|signing|ssh)_?keys?(?:_|$)"
    r"|(?:access|api|app|auth|bearer|hf|hub|refresh|session)_?tokens?(?:_|$)"
)
# A secret where the name ends in it: wandb_key is one, key_dim and token_count are none.
_PERHAPS = re.compile(r"(?:(?:^|_)(?:key|pass|pw|o?auth)|token)$")
_ORDINARY = re.compile(
    # Where a secret lies, what it is called, how long it is.
    r"_(?:count|dir|env|file|folder|len|length|limit|name|path|size|ttl|type|ur[il]|var)$"
    # Words of the trade.
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

# Values that give themselves away, whatever they are called.
_TOKEN = re.compile(
    rf"{patterns.loose_forms()}"
    r"|(?<=\blogin )\w{20,}"  # wandb login 0123...
    r"|(?<=\bBearer )[\w.~+/=-]{8,}"
)
# Too long for a word; _looks_random decides. Hexadecimal never does: commit ids and digests are
# what the record is for.
_LONG = re.compile(r"[A-Za-z0-9]{24,}")

_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9+.-]{0,30}://)((?:[^\s\"'<>`\\]|\\(?![\"']))+)"
)
# A password may hold what should have been quoted in an address: / ? #.
_USER = re.compile(r"[^/?#]*@|[^/?#:@\[]*:(?!\d*(?:[/?#]|$)).*@", re.DOTALL)
# Such a password, and the address was cut off before the @.
_TORN_USER = re.compile(r"[^/?#:@\[]*:(?!\d*(?:[/?#]|$))")
# user@host:path as ssh has it, and user:password@host without a scheme (proxies).
_SSH_USER = re.compile(r"[^/\\@]*@(?=[^/\\]*:)")
_BARE_USER = re.compile(r"(?<![\w./@:*-])[\w.+-]+:[^\s:@/\"'<>]+@(?!sha\d+:)(?=[\w-])")
_GIT_USER = "git@"  # everybody who fetches by ssh is called so

# The name in: name = value, "name": value, os.environ["NAME"] = value, name: str = value;
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
# The name of the scheme comes before the secret: Authorization: Basic dXNlcjpwYXNz.
_SCHEME = re.compile(
    r"(authorization\\*[\"']?\s{0,9}[:=]\s{0,9}[a-z]{0,2}\\*[\"']?[a-z][\w-]{0,20} )[^\s\"'\\]+",
    re.IGNORECASE,
)
# The password of a pair: curl -u name:password, auth=("name", "password").
_LOGIN = re.compile(
    r"(\bcurl\b[^|;&]{0,300}?[\s\"'](?:-[uU]|--(?:proxy-)?user)[\s=,\\\"']{0,6}[^\s:\"'\\]{1,100}:"
    r"|(?:\bauth\s{0,9}=\s{0,9}|Auth)\(\s{0,9}\\*[\"'][^\"'\n]{0,100}[\"']\s{0,9},\s{0,9}\\*[\"'])"
    r"[^\s\"'\\]+"
)
_VALUE = re.compile(
    r"""[A-Za-z]{0,2}(?P<triple>\\*(?:\"""|'''))(?P<block>(?s:.*?)(?=(?P=triple)|\Z))
      | [A-Za-z]{0,2}(?P<quote>\\*["'])(?P<line>(?:(?!(?P=quote))(?:\\.|.))*)
      | (?P<bare>[^\s,;&|"'(){}\[\]<>\\]{1,1024})""",
    re.VERBOSE,
)
_SHORT = 200  # characters of a name
_OPTION = re.compile(r"--?[A-Za-z][\w.-]*")
_NAMED_ARGUMENT = re.compile(r"([-+~]{0,2}[A-Za-z_][\w.-]{0,100}=).*", re.DOTALL)


def redact_tree(section: _T, rules: Rules = "name") -> _T:
    """A section of a record, of dictionaries, lists and values, with every secret in it masked.

    Every string is masked by its rule, and every name of a field as a name. Other values stay.
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


@lru_cache(maxsize=4096)  # every capture of a process names the same packages
def _mask_short(text: str) -> str:
    return mask_forms(text)


def mask_arguments(arguments: Iterable[str]) -> list[str]:
    """A command line, with the values of secret options and all that looks like a secret masked."""
    return [_mask_argument(option, word) for option, word in _with_options(arguments)]


def _with_options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each word with the option that it may be a value of; empty where there is none."""
    option = ""
    for word in words:
        yield "" if word.startswith("--") else option, word
        if _OPTION.fullmatch(word):
            option = word
        elif not option.endswith("s"):  # --api-keys takes several
            option = ""


def mask_named(name: str, value: str) -> str:
    """The value of an option, a variable or a note called ``name``."""
    return MASK if is_secret(name, value) else mask_text(value)


def mask_text(text: str) -> str:
    """Any text: what gives itself away as a secret is masked, the rest is as it was."""
    text = mask_forms(text)
    text = _ADDRESS.sub(lambda found: found[1] + _mask_rest(found[2]), text)
    text = _BARE_USER.sub(f"{MASK}@", text)
    text = _SCHEME.sub(rf"\1{MASK}", text)
    text = _LOGIN.sub(rf"\1{MASK}", text)
    return _mask_assigned(text)


def mask_url(url: str) -> str:
    """An address with nothing in it but where to go: no user, password, query or fragment."""
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
    """Notes, as JSON has them: strings, numbers, lists and dictionaries of such."""
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
    """True if what is called ``name`` must not be recorded: ``token=False`` may, and ``key=3``."""
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
    """A name or a path: only what looks like a token whatever it is called."""
    text = _TOKEN.sub(MASK, text)
    return _LONG.sub(lambda found: MASK if _looks_random(found[0]) else found[0], text)


def _mask_rest(rest: str) -> str:
    """What stands behind the ``://`` of an address in a text."""
    placed = _without_user(rest, _USER)
    user = f"{MASK}@" if placed != rest else ""
    where = re.split("[?#]", placed)[0]
    asked = placed[len(where) :]
    return user + where + (asked[0] + MASK if asked else "")


def _without_user(rest: str, pattern: re.Pattern[str]) -> str:
    user = pattern.match(rest)
    return rest[user.end() :] if user and user[0] != _GIT_USER else rest


def _mask_assigned(text: str) -> str:
    parts = []
    done = 0
    for named in _NAMED.finditer(text):
        start, end = _secret_of(named) if named.start() >= done else (0, 0)
        if end:
            parts += [text[done:start], MASK]
            done = end
    return "".join([*parts, text[done:]])


def _secret_of(named: re.Match[str]) -> tuple[int, int]:
    """Where the secret lies that is given to this name; (0, 0) if it is none."""
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
    """True for what is no value but a name or a call: ``key=len``, ``password = read()``."""
    if value.string.startswith(("(", "["), value.end()):
        return True
    return not certain and not (len(value["bare"]) >= 8 and re.search(r"\d", value["bare"]))


def _looks_random(text: str) -> bool:
    """Small and capital letters and digits that change places as no word's do."""
    kinds = ["0" if sign.isdigit() else "a" if sign.islower() else "A" for sign in text[:200]]
    changes = sum(one != other for one, other in pairwise(kinds))
    return len(set(kinds)) == 3 and changes >= 0.4 * len(kinds)
