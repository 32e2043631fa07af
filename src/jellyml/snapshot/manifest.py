"""How a model was made, as one record: the code, the command, the environment, the notes.

``docs/manifest.md`` is the schema. ``record`` writes it: every text is masked where secrets may
be in it, and whatever a program or a machine is like, there is a record and JSON can encode it.
``Manifest`` reads it: whatever a stranger wrote, each property has its type.
"""

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.snapshot.facts import CodeFacts, Credential

SCHEMA = 1
# The record is to stay small, whatever lies in the folder.
_MOST_LEFT_OUT = 1000
_DEEPEST = 12
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Manifest:
    """A manifest that was read. It may be a stranger's: nothing in it needs to have its form.

    Each property has one type. What is missing, or of another type, reads as None or empty; no
    property raises. ``fields`` is the manifest as it is, for what writes a changed one.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: object = None) -> None:
        self.fields: Mapping[str, object] = fields if isinstance(fields, Mapping) else {}

    def __contains__(self, name: str) -> bool:
        """Whether a section of this name is recorded, of whatever form."""
        return name in self.fields

    def section(self, name: str) -> Mapping[str, object]:
        return _mapping(self.fields, name)

    @property
    def created(self) -> str | None:
        """When the code was captured, in UTC."""
        return _text(self.fields, "created")

    @property
    def version(self) -> str | None:
        """The version of JellyML that wrote it."""
        return _text(self.fields, "jellyml")

    @property
    def bundle_sha256(self) -> str | None:
        return _text(self.fields, "bundle_sha256")

    @property
    def notes(self) -> Mapping[str, object]:
        return self.section("notes")

    # The code.

    @property
    def code(self) -> Mapping[str, object]:
        return self.section("code")

    @property
    def commit(self) -> str | None:
        """The snapshot's commit. Only a whole id is one: it may be passed to git as a name."""
        return _id(self.code, "commit")

    @property
    def base(self) -> str | None:
        """The commit that HEAD was at; a whole id, too."""
        return _id(self.code, "base")

    @property
    def branch(self) -> str | None:
        return _text(self.code, "branch")

    @property
    def dirty(self) -> bool | None:
        dirty = self.code.get("dirty")
        return dirty if isinstance(dirty, bool) else None

    @property
    def changed(self) -> int | None:
        """How many paths differed from ``base``; None where that was not recorded."""
        count = self.code.get("changed")
        if isinstance(count, int):
            return count
        return 0 if self.dirty is False else None

    @property
    def remotes(self) -> dict[str, str]:
        remotes = _mapping(self.code, "remotes")
        return {name: url for name, url in remotes.items() if isinstance(url, str)}

    @property
    def left_out(self) -> list[str]:
        """The paths of files that the snapshot does not hold."""
        return self._paths("left_out")

    @property
    def data(self) -> list[str]:
        """The paths of large files in the snapshot that look like data."""
        return self._paths("data")

    @property
    def secrets(self) -> list[Credential]:
        """The places that looked like a credential."""
        return [
            Credential(path, line, str(row.get("kind")))
            for row in self.rows("secrets")
            if isinstance(path := row.get("path"), str) and isinstance(line := row.get("line"), int)
        ]

    @property
    def cut(self) -> str | None:
        """Why the history is not whole."""
        return _text(self.code, "cut")

    @property
    def error(self) -> str | None:
        """Why the code could not be captured."""
        return _text(self.code, "error") or _text(self.fields, "error")

    def commit_texts(self) -> Iterator[bytes]:
        """The texts of true commits behind a cut history, the oldest first; unproved."""
        for text in _mapping(self.code, "commit_texts").values():
            encoded = text.get("base64") if isinstance(text, dict) else None
            if isinstance(text, str):
                yield text.encode("utf-8", "replace")
            elif isinstance(encoded, str):
                with suppress(ValueError):
                    yield base64.b64decode(encoded)

    def rows(self, name: str) -> list[Mapping[str, object]]:
        """A list of the code's section, as far as its rows are dictionaries."""
        rows = self.code.get(name)
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _paths(self, name: str) -> list[str]:
        return [path for row in self.rows(name) if isinstance(path := row.get("path"), str)]

    # The command, and what it ran with.

    @property
    def command(self) -> Mapping[str, object]:
        return self.section("command")

    @property
    def argv(self) -> list[str] | None:
        """The program and its arguments, as the program saw them."""
        return _words(self.command, "argv")

    @property
    def launched(self) -> list[str] | None:
        """The same with the interpreter and its options, where they are known."""
        return _words(self.command, "launched") or self.argv

    @property
    def python(self) -> Mapping[str, object]:
        return self.section("python")

    @property
    def torch(self) -> Mapping[str, object]:
        return self.section("torch")

    @property
    def machine(self) -> Mapping[str, object]:
        return self.section("machine")

    @property
    def host(self) -> str | None:
        return _text(self.machine, "host")

    @property
    def distributions(self) -> Mapping[str, object]:
        return self.section("distributions")


def _mapping(mapping: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = mapping.get(name)
    return value if isinstance(value, dict) else {}


def _text(mapping: Mapping[str, object], name: str) -> str | None:
    value = mapping.get(name)
    return value if isinstance(value, str) and value else None


def _id(mapping: Mapping[str, object], name: str) -> str | None:
    value = _text(mapping, name)
    return value if value and _ID.fullmatch(value) else None


def _words(mapping: Mapping[str, object], name: str) -> list[str] | None:
    value = mapping.get(name)
    return list(map(str, value)) if isinstance(value, list) else None


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
    from jellyml.secrets.redact import redact_tree  # late: a reader has no use for it

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
    from jellyml.secrets.redact import redact_tree

    more = redact_tree(_plain(notes), "notes")
    assert isinstance(more, dict)
    return {**made, "notes": {**Manifest(made).notes, **more}}


def surroundings(root: Path) -> Surroundings:
    """What can be recorded of process and machine before the code is known."""
    from jellyml.secrets.redact import redact_tree
    from jellyml.snapshot import environment

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


def _code(code: CodeFacts) -> dict[str, object]:
    from jellyml.secrets.redact import ANY_FIELD, Rules, redact_tree

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
    # Branches, folders and files may be called like a token: they are masked as names.
    addresses: Rules = {ANY_FIELD: "address"}
    rules: Rules = {"remotes": addresses, "nested": {"remotes": addresses}, "error": "text"}
    return redact_tree(facts, rules) | ({"commit_texts": texts} if texts else {})


def encoded_texts(texts: Mapping[str, bytes]) -> dict[str, object]:
    """Commits' texts by their ids, as JSON has them; ``Manifest.commit_texts`` reads them."""
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
        from jellyml.secrets.redact import mask_text

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
