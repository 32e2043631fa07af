"""The difference of two manifests: command, Python, packages, machine."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from jellyml.snapshot.manifest import Manifest

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


def compared(one: Manifest, other: Manifest) -> Environment:
    """Only what both record: what one does not say may be the same."""
    return Environment(tuple(_facts(one, other)), tuple(_packages(one, other)))


def _facts(one: Manifest, other: Manifest) -> Iterator[Fact]:
    if "command" in one and "command" in other:
        yield from _differing("command", _command(one), _command(other))
    for section, called in _SECTIONS:
        if section in one and section in other:
            mine, theirs = one.section(section), other.section(section)
            for name in dict.fromkeys((*mine, *theirs)):
                if (section, name) not in _PASSED_OVER:
                    before, after = (_text(each.get(name)) for each in (mine, theirs))
                    yield from _differing(f"{called}{name}", before, after)


def _packages(one: Manifest, other: Manifest) -> Iterator[Fact]:
    if "distributions" in one and "distributions" in other:
        mine, theirs = one.distributions, other.distributions
        for name in sorted({*mine, *theirs}):
            before, after = (_version(each.get(name)) for each in (mine, theirs))
            yield from _differing(name, before, after)


def _differing(name: str, before: str | None, after: str | None) -> Iterator[Fact]:
    if before != after:
        yield Fact(name, before, after)


def _command(manifest: Manifest) -> str | None:
    return None if manifest.argv is None else shlex.join(manifest.argv)


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
