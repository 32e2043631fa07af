"""What is about to be put into a checkpoint, looked through before: see ``docs/secrets.md``.

A capture looks at what differs from HEAD, for it must not take long. Whoever fills a checkpoint is
about to share it: with the extra ``secrets``, all of the code is looked through, history included.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jellyml.code import filling, thorough
from jellyml.code.bundle import quarantined
from jellyml.code.inside import Inside
from jellyml.code.manifest import Credential
from jellyml.errors import JellyError, JellyWarning, SecretsFound, pasteable
from jellyml.searched import Place, search
from jellyml.settings import OnSecrets

_SECONDS = 15.0
_NAMED = 3
_MOST = 1000  # in a manifest

Records = tuple[bytes, bytes]
"""The filling, and the manifest, which may be empty."""


def guarded(records: Records, model: Path, on_secrets: OnSecrets) -> Records:
    """The same, for ``model``; what looks like a secret is a JellyWarning and in the manifest.

    Where detect-secrets is not installed nothing is looked for: the capture has. SecretsFound
    where that was asked for.
    """
    if on_secrets == "ignore" or not thorough.is_installed():
        return records
    try:
        found = _found(records[0])
    except JellyError:  # whoever unpacks it hears what is wrong with it
        return records
    if found and on_secrets == "error":
        raise _refused(found[0], model)
    manifest = filling.parse_manifest(records[1]) if records[1] else {}
    told = _told(manifest)
    new = [one for one in found if one.earlier or (one.path, one.line) not in told]
    if not new:
        return records
    _warn(new, model)
    return records[0], _with(manifest, new) if manifest else b""


def _found(data: bytes) -> list[Place]:
    """Secrets alone: the capture has left out what else should not be in it, and named it."""
    header = filling.parse_header(data[: filling.HEADER_SIZE])
    bundle = data[header.offset : header.offset + header.size]
    with quarantined([bundle], size=header.size) as incoming:
        places = search(Inside(incoming), _SECONDS).places
    return [one for one in places if one.line is not None]


def _refused(found: Place, model: Path) -> SecretsFound:
    fix = (
        f"leave the history out: jellyml fill --history none {pasteable(model)}"
        if found.earlier
        else "take it out of the file (and revoke it if it ever left this machine), or end the"
        " line with # pragma: allowlist secret."
    )
    what = _named([found])
    return SecretsFound(f"What would be put into {model} looks like a secret: {what}.", fix)


def _warn(found: Sequence[Place], model: Path) -> None:
    rest = len(found) - _NAMED
    more = f", and {rest} more" if rest > 0 else ""
    warnings.warn(
        f"The code holds what looks like a secret: {_named(found[:_NAMED])}{more}."
        f" Fix: jellyml check {pasteable(model)}",
        JellyWarning,
        stacklevel=5,
    )


def _named(found: Sequence[Place]) -> str:
    return ", ".join(
        f"{one.what} in line {one.line} of {one.path}{' as it once was' if one.earlier else ''}"
        for one in found
    )


def _told(manifest: dict[str, object]) -> set[tuple[object, object]]:
    return {(one.get("path"), one.get("line")) for one in _noted(manifest)}


def _noted(manifest: dict[str, object]) -> list[dict[str, Any]]:
    code = manifest.get("code")
    noted = code.get("secrets") if isinstance(code, dict) else None
    return [one for one in noted if isinstance(one, dict)] if isinstance(noted, list) else []


def _with(manifest: dict[str, object], found: Sequence[Place]) -> bytes:
    """The record with these places; what is in the history alone has none."""
    more = [
        asdict(Credential(one.path, one.line, one.what))
        for one in found
        if one.line is not None and not one.earlier
    ]
    code = manifest.get("code")
    noted = {**(code if isinstance(code, dict) else {}), "secrets": _noted(manifest) + more}
    noted["secrets"] = noted["secrets"][:_MOST]
    return filling.manifest_record({**manifest, "code": noted})
