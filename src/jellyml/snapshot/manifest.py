"""How a model was made, as one record: the code, the command, the environment, the notes.

``docs/manifest.md`` is the schema. Every text in it is masked where secrets may stand in it, and
whatever a program or a machine is like, there is a record and JSON can encode it.
"""

import base64
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.secrets.redact import ANY_FIELD, Rules, mask_text, redact_tree
from jellyml.snapshot import environment
from jellyml.snapshot.facts import CodeFacts

SCHEMA = 1
# The record is to stay small, whatever lies in the folder.
_MOST_LEFT_OUT = 1000
_DEEPEST = 12
# Branches, folders and files may be called like a token: they are masked as names.
_ADDRESSES: Rules = {ANY_FIELD: "address"}
_CODE_RULES: Rules = {
    "remotes": _ADDRESSES,
    "nested": {"remotes": _ADDRESSES},
    "error": "text",
}


Surroundings = dict[str, object]


def record(
    code: CodeFacts,
    *,
    version: str,
    notes: Mapping[str, object] | None = None,
    around: Surroundings | None = None,
) -> dict[str, object]:
    """The manifest of a snapshot taken now; ``version`` is JellyML's own.

    ``around`` is what ``surroundings`` has found already.
    """
    made = {"code": _attempt(lambda: _code(code))}
    made |= surroundings(code.root) if around is None else around
    if notes:
        made["notes"] = _attempt(lambda: redact_tree(_plain(notes), "notes"))
    head = {
        "schema": SCHEMA,
        "jellyml": version,
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "bundle_sha256": code.bundle_sha256,
    }
    return head | {name: facts for name, facts in made.items() if facts is not None}


def with_notes(made: Mapping[str, object], notes: Mapping[str, object]) -> dict[str, object]:
    """The record with these notes besides its own; of one name the new one counts."""
    if not isinstance(notes, Mapping):
        raise UsageError("notes is not a dictionary.", 'pass one, such as {"note": "a text"}.')
    before, more = made.get("notes"), redact_tree(_plain(notes), "notes")
    both = [each for each in (before, more) if isinstance(each, dict)]
    return {**made, "notes": {name: each[name] for each in both for name in each}}


def surroundings(root: Path) -> Surroundings:
    """What can be recorded of process and machine before the code is known."""
    sections: dict[str, Callable[[], object]] = {
        "command": lambda: environment.command(root),
        "notebook": lambda: environment.notebook(root),
        "python": environment.python,
        "machine": environment.machine,
        "torch": environment.torch,
        "distributions": lambda: environment.distributions(root),
        "indexes": lambda: environment.indexes(root),
        "lock_files": lambda: environment.lock_files(root),
        "variables": environment.variables,
    }
    return {name: redact_tree(_attempt(look)) for name, look in sections.items()}


def commit_texts(code: Mapping[str, object]) -> Iterator[bytes]:
    """The texts of true commits that a manifest's ``code`` carries, the oldest first; unproved."""
    texts = code.get("commit_texts")
    for text in texts.values() if isinstance(texts, dict) else ():
        encoded = text.get("base64") if isinstance(text, dict) else None
        if isinstance(text, str):
            yield text.encode("utf-8", "replace")
        elif isinstance(encoded, str):
            with suppress(ValueError):
                yield base64.b64decode(encoded)


def _code(code: CodeFacts) -> dict[str, object]:
    facts: dict[str, object] = {
        "commit": code.commit,
        "base": code.base,
        "branch": code.branch,
        "dirty": code.dirty,
        "changed": code.changed,
        "remotes": dict(code.remotes),
        "left_out": [asdict(one) for one in code.left_out[:_MOST_LEFT_OUT]],
        "nested": [asdict(one) for one in code.nested],
    }
    further = {
        "left_out_more": max(0, len(code.left_out) - _MOST_LEFT_OUT),
        "raw": list(code.raw),
        "secrets": [asdict(one) for one in code.secrets],
        "data": [asdict(one) for one in code.data],
        "cut": code.cut,
        "error": code.error,
    }
    facts |= {name: value for name, value in further.items() if value}
    texts = encoded_texts(code.commit_texts)
    return redact_tree(facts, _CODE_RULES) | ({"commit_texts": texts} if texts else {})


def encoded_texts(texts: Mapping[str, bytes]) -> dict[str, object]:
    """Commits' texts by their ids, as JSON has them; ``commit_texts`` reads them."""
    return {oid: _encoded(text) for oid, text in texts.items()}


def _encoded(text: bytes) -> object:
    """Every byte counts, or the commit's id could not be checked; so nothing is masked."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(text).decode()}


def _attempt(look: Callable[[], object]) -> object:
    """A section as JSON; without it the record is still worth having, whatever went wrong."""
    try:
        return _plain(look())
    except Exception as problem:  # noqa: BLE001
        return {"error": mask_text(f"{type(problem).__name__}: {problem}")}


def _plain(value: object, depth: int = 0) -> object:
    """As JSON has it: numbers of numpy and torch are numbers, what is nothing of it is text."""
    if isinstance(value, str):
        # Names from the system may hold bytes that are no text: shown as \udc80, kept encodable.
        return value.encode("utf-8", "backslashreplace").decode()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if depth == _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {str(_plain(str(key))): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return _plain(value.item(), depth + 1)
    return _plain(str(value))
