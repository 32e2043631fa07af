"""The difference of two manifests: command, Python, packages, machine."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Sections whose entries are compared one by one, and how they are called.
_SECTIONS = (
    ("python", "python "),
    ("torch", "torch "),
    ("machine", "machine "),
    ("variables", ""),
    ("lock_files", "lock file "),
    ("notes", "note "),
)
# What says which run it was and not how it was made, or is said better elsewhere.
_PASSED_OVER = {("machine", "host"), ("python", "abi")}


@dataclass(frozen=True, slots=True)
class Fact:
    """What was one thing and is another; None where it was not there."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Environment:
    """What differs, and which packages do."""

    facts: tuple[Fact, ...]
    packages: tuple[Fact, ...]


def compared(one: Mapping[str, object], other: Mapping[str, object]) -> Environment:
    """Only what both record: what one does not say may be the same."""
    return Environment(tuple(_facts(one, other)), tuple(_packages(one, other)))


def _facts(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Fact]:
    if "command" in one and "command" in other:
        yield from _differing("command", _command(one), _command(other))
    for section, called in _SECTIONS:
        if section in one and section in other:
            mine, theirs = _dict(one, section), _dict(other, section)
            for name in dict.fromkeys((*mine, *theirs)):
                if (section, name) not in _PASSED_OVER:
                    before, after = (_text(each.get(name)) for each in (mine, theirs))
                    yield from _differing(f"{called}{name}", before, after)


def _packages(one: Mapping[str, object], other: Mapping[str, object]) -> Iterator[Fact]:
    if "distributions" in one and "distributions" in other:
        mine, theirs = _dict(one, "distributions"), _dict(other, "distributions")
        for name in sorted({*mine, *theirs}):
            before, after = (_version(each.get(name)) for each in (mine, theirs))
            yield from _differing(name, before, after)


def _differing(name: str, before: str | None, after: str | None) -> Iterator[Fact]:
    if before != after:
        yield Fact(name, before, after)


def _command(manifest: Mapping[str, object]) -> str | None:
    words = _dict(manifest, "command").get("argv")
    return shlex.join(map(str, words)) if isinstance(words, list) else None


def _version(facts: object) -> str | None:
    """A version, and where it came from if that was not an index."""
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
    found = mapping.get(name)
    return found if isinstance(found, dict) else {}
