"""The manifest: the code, the command, the environment and the notes of one run.

``docs/manifest.md`` is the schema. ``record`` creates a manifest. It masks every text that may
hold secrets. It always returns one that JSON can encode: a section that fails holds its error.
``Manifest`` reads an untrusted manifest: each property has the declared type.
"""

import base64
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

from jellyml.errors import UsageError
from jellyml.snapshot.facts import CodeFacts, Credential
from jellyml.snapshot.in_use import CodeInUse, LaterFile

SCHEMA = 1
# Keeps the record small when a folder has thousands of large files.
_MOST_LEFT_OUT = 1000
_DEEPEST = 12
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Manifest:
    """An untrusted manifest, with one type per property.

    A property whose value is missing or has another type is None or empty. No property raises.
    ``fields`` is the unchecked manifest, for code that writes a modified one.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: object = None) -> None:
        self.fields: Mapping[str, object] = fields if isinstance(fields, Mapping) else {}

    def __contains__(self, name: str) -> bool:
        """Return True if the manifest has this section, even if it is malformed."""
        return name in self.fields

    def section(self, name: str) -> Mapping[str, object]:
        return _mapping(self.fields, name)

    @property
    def created(self) -> str | None:
        """When the code was captured, in UTC."""
        return _text(self.fields, "created")

    @property
    def version(self) -> str | None:
        """The version of JellyML that wrote the manifest."""
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
        """The snapshot's commit. Only a full id is accepted, because it may be passed to git."""
        return _id(self.code, "commit")

    @property
    def base(self) -> str | None:
        """The commit of HEAD at the capture, as a full id."""
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
        """How many paths differed from ``base``; None if not recorded."""
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
        """The paths of files that were left out of the snapshot."""
        return self._paths("left_out")

    @property
    def data(self) -> list[str]:
        """The paths of large files in the snapshot that look like data."""
        return self._paths("data")

    @property
    def secrets(self) -> list[Credential]:
        """The locations of possible credentials."""
        return [
            Credential(path, line, str(row.get("kind")))
            for row in self.rows("secrets")
            if isinstance(path := row.get("path"), str) and isinstance(line := row.get("line"), int)
        ]

    def ignored(self, *, captured: bool) -> list[str]:
        """Return the paths of files in use that git ignores, captured or not."""
        rows = [row for row in self.rows("ignored") if (row.get("captured") is True) == captured]
        return [path for row in rows if isinstance(path := row.get("path"), str)]

    @property
    def outside(self) -> list[str]:
        """The repositories and folders outside that hold code in use."""
        return self._paths("outside")

    @property
    def used_later(self) -> list[str]:
        """The paths of files that were imported after the capture and are not in it."""
        return self._paths("used_later")

    @property
    def changed_since_start(self) -> list[str]:
        """The paths of files that were edited after the process started."""
        return _words(self.code, "changed_since_start") or []

    @property
    def cut(self) -> str | None:
        """Why the history is incomplete."""
        return _text(self.code, "cut")

    @property
    def error(self) -> str | None:
        """Why the code could not be captured."""
        return _text(self.code, "error") or _text(self.fields, "error")

    def commit_texts(self) -> Iterator[bytes]:
        """Return the texts of the original commits of a cut history, oldest first, not verified."""
        for text in _mapping(self.code, "commit_texts").values():
            encoded = text.get("base64") if isinstance(text, dict) else None
            if isinstance(text, str):
                yield text.encode("utf-8", "replace")
            elif isinstance(encoded, str):
                with suppress(ValueError):
                    yield base64.b64decode(encoded)

    def rows(self, name: str) -> list[Mapping[str, object]]:
        """Return the dictionaries in a list of the section ``code``."""
        rows = self.code.get(name)
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _paths(self, name: str) -> list[str]:
        return [path for row in self.rows(name) if isinstance(path := row.get("path"), str)]

    # The command and its environment.

    @property
    def command(self) -> Mapping[str, object]:
        return self.section("command")

    @property
    def argv(self) -> list[str] | None:
        """``sys.argv`` of the run."""
        return _words(self.command, "argv")

    @property
    def launched(self) -> list[str] | None:
        """``argv`` with the interpreter and its options, if they are known."""
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
    """Return the manifest of a snapshot taken now; ``version`` is the version of JellyML.

    ``around`` is an earlier result of ``surroundings``, which is computed again if None.
    """
    from jellyml.secrets.redact import redact_tree  # late: reading a manifest does not need it

    sections = {"code": _attempt(lambda: _code(code))}
    sections |= surroundings(code.root) if around is None else around
    if notes:
        sections["notes"] = _attempt(lambda: redact_tree(_plain(notes), "notes"))
    head = {
        "schema": SCHEMA,
        "jellyml": version,
        "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "bundle_sha256": code.bundle_sha256,
    }
    return head | {name: facts for name, facts in sections.items() if facts is not None}


def with_notes(manifest: Mapping[str, object], notes: Mapping[str, object]) -> dict[str, object]:
    """Return the manifest with ``notes`` added; a new note replaces one of the same name.

    Raise UsageError if ``notes`` is not a mapping.
    """
    if not isinstance(notes, Mapping):
        raise UsageError("notes is not a dictionary.", 'pass one, such as {"note": "a text"}.')
    from jellyml.secrets.redact import redact_tree

    more = redact_tree(_plain(notes), "notes")
    assert isinstance(more, dict)
    return {**manifest, "notes": {**Manifest(manifest).notes, **more}}


def with_used_later(
    manifest: Mapping[str, object], files: Sequence[LaterFile]
) -> dict[str, object]:
    """Return the manifest with the files that were imported after the capture."""
    from jellyml.secrets.redact import redact_tree

    rows = redact_tree(_plain([asdict(one) for one in files[:_MOST_LEFT_OUT]]))
    return {**manifest, "code": {**Manifest(manifest).code, "used_later": rows}}


def surroundings(root: Path) -> Surroundings:
    """Return the sections about the process and the machine, which do not depend on the code."""
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
        **_in_use(code.in_use),
        "cut": code.cut,
        "error": code.error,
    }
    facts |= {name: value for name, value in further.items() if value}
    texts = encoded_texts(code.commit_texts)
    # The name of a branch, folder or file may look like a token: it is masked as a name.
    addresses: Rules = {ANY_FIELD: "address"}
    rules: Rules = {
        **dict.fromkeys(("error", "in_use_error"), "text"),
        "remotes": addresses,
        "nested": {"remotes": addresses},
        "outside": {"remotes": addresses, "error": "text"},
    }
    return redact_tree(facts, rules) | ({"commit_texts": texts} if texts else {})


def _in_use(found: CodeInUse) -> dict[str, object]:
    """Return the fields about the modules of the process; at most 1,000 rows of each."""
    return {
        "ignored": [asdict(one) for one in found.ignored[:_MOST_LEFT_OUT]],
        "outside": [
            {name: value for name, value in asdict(one).items() if value not in ("", None)}
            | {"files": list(one.files[:_MOST_LEFT_OUT])}
            for one in found.outside[:_MOST_LEFT_OUT]
        ],
        "changed_since_start": list(found.changed[:_MOST_LEFT_OUT]),
        "in_use_error": found.error,
    }


def encoded_texts(texts: Mapping[str, bytes]) -> dict[str, object]:
    """Return commit id -> text, encoded for JSON; ``Manifest.commit_texts`` decodes them."""
    return {oid: _encoded(text) for oid, text in texts.items()}


def _encoded(text: bytes) -> object:
    """Return the text, or base64 if it is not UTF-8.

    It is not masked: the commit's id can be checked only if every byte is kept.
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(text).decode()}


def _attempt(look: Callable[[], object]) -> object:
    """Return a section encoded for JSON, or its error: a failed section does not end a capture."""
    try:
        return _plain(look())
    except Exception as problem:  # noqa: BLE001
        from jellyml.secrets.redact import mask_text

        return {"error": mask_text(f"{type(problem).__name__}: {problem}")}


def _plain(value: object, depth: int = 0) -> object:
    """Return a value that JSON can encode.

    Scalars of numpy and torch become numbers. Any other object becomes its ``str``.
    """
    if isinstance(value, str):
        # A file name may hold bytes that are not UTF-8: they are written as \udc80.
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
