"""The difference of two manifests: command, Python, packages, machine."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Sections whose entries are compared one by one, and the prefix of their names.
_SECTIONS = (
    ("python", "python "),
    ("torch", "torch "),
    ("machine", "machine "),
    ("variables", ""),
    ("lock_files", "lock file "),
    ("notes", "note "),
)
# These identify a run rather than describe how it was made, or repeat another fact.
_PASSED_OVER = {("machine", "host"), ("python", "abi")}


@dataclass(frozen=True, slots=True)
class Fact:
    """A value that differs; None on the side that lacks it."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Environment:
    """The facts that differ, and the packages that differ."""

    facts: tuple[Fact, ...]
    packages: tuple[Fact, ...]


def compare(one: Mapping[str, object], other: Mapping[str, object]) -> Environment:
    """Compare the sections that both manifests record; a section of only one may be equal."""
    return Environment(tuple(_facts(one, other)), tuple(_packages(one, other)))


def _facts(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Fact]:
    if "command" in one and "command" in other:
        yield from _differing("command", _command(one), _command(other))
    for section, prefix in _SECTIONS:
        if section in one and section in other:
            left, right = _dict(one, section), _dict(other, section)
            for name in dict.fromkeys((*left, *right)):
                if (section, name) not in _PASSED_OVER:
                    before, after = (_text(each.get(name)) for each in (left, right))
                    yield from _differing(f"{prefix}{name}", before, after)


def _packages(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Fact]:
    if "distributions" in one and "distributions" in other:
        left, right = _dict(one, "distributions"), _dict(other, "distributions")
        for name in sorted({*left, *right}):
            before, after = (_version(each.get(name)) for each in (left, right))
            yield from _differing(name, before, after)


def _differing(name: str, before: str | None, after: str | None) -> Iterator[Fact]:
    if before != after:
        yield Fact(name, before, after)


def _command(manifest: Mapping[str, object]) -> str | None:
    words = _dict(manifest, "command").get("argv")
    return shlex.join(map(str, words)) if isinstance(words, list) else None


def _version(facts: object) -> str | None:
    """Return a version, with its origin if that is not a package index."""
    if not isinstance(facts, dict):
        return None
    origin = [str(facts[key]) for key in ("url", "commit", "path") if facts.get(key)]
    editable = ["editable"] if facts.get("editable") else []
    more = ", ".join(editable + origin)
    return f"{facts.get('version')} ({more})" if more else str(facts.get("version"))


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _dict(mapping: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = mapping.get(name)
    return value if isinstance(value, dict) else {}
