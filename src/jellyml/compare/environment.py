"""The difference of two manifests: command, Python, packages, machine."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from jellyml.snapshot.manifest import Manifest

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


def compare(one: Manifest, other: Manifest) -> Environment:
    """Compare the sections that both manifests record; a section of only one may be equal."""
    return Environment(tuple(_facts(one, other)), tuple(_packages(one, other)))


def _facts(one: Manifest, other: Manifest) -> Iterator[Fact]:
    if "command" in one and "command" in other:
        yield from _differing("command", _command(one), _command(other))
    for section, prefix in _SECTIONS:
        if section in one and section in other:
            left, right = one.section(section), other.section(section)
            for name in dict.fromkeys((*left, *right)):
                if (section, name) not in _PASSED_OVER:
                    before, after = (_text(each.get(name)) for each in (left, right))
                    yield from _differing(f"{prefix}{name}", before, after)


def _packages(one: Manifest, other: Manifest) -> Iterator[Fact]:
    if "distributions" in one and "distributions" in other:
        left, right = one.distributions, other.distributions
        for name in sorted({*left, *right}):
            before, after = (_version(each.get(name)) for each in (left, right))
            yield from _differing(name, before, after)


def _differing(name: str, before: str | None, after: str | None) -> Iterator[Fact]:
    if before != after:
        yield Fact(name, before, after)


def _command(manifest: Manifest) -> str | None:
    return None if manifest.argv is None else shlex.join(manifest.argv)


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
