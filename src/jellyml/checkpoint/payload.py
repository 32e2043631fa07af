"""What is put into a checkpoint: a new or copied snapshot, shortened and checked for secrets."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.capture.bundle import AS_ASKED, Packed, recut
from jellyml.capture.create import on_secrets, snapshot_for
from jellyml.capture.settings import OnSecrets
from jellyml.checkpoint.audit import Match, search
from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.checkpoint.reader import unpacked
from jellyml.errors import JellyError, JellyWarning, NoSnapshot, SecretsFound, UsageError, pasteable
from jellyml.formats.edit import Payload
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.quarantine.quarantine import quarantined
from jellyml.quarantine.reader import Inside
from jellyml.remote.address import place_of
from jellyml.secrets import detect_secrets
from jellyml.secrets.redact import mask_forms
from jellyml.snapshot import serialization
from jellyml.snapshot.facts import Credential
from jellyml.snapshot.manifest import Manifest, encoded_texts
from jellyml.snapshot.snapshot import Snapshot
from jellyml.working_tree.scratch import Scratch

if TYPE_CHECKING:
    import os

    from jellyml.capture.bundle import History

_SECONDS = 15.0
_NAMED = 3
_MOST = 1000  # in a manifest

Records = tuple[bytes, bytes]
"""The filling, and the manifest, which may be empty."""

KEYS = (KEY, MANIFEST_KEY)


def without_history(checkpoint: Checkpoint, keep: int) -> tuple[bytes, bytes]:
    """A filling with ``keep`` commits below the snapshot, and its manifest (empty without one).

    The code is unpacked in quarantine for it. Raises NoSnapshot, BadSnapshot, GitError.
    """
    header = checkpoint.header
    with unpacked(checkpoint) as incoming:
        git = replace(incoming.git, hold=incoming.limits.hold).configured(pack__threads="1")
        packed = recut(Scratch(incoming.objects.parent, git), incoming.commit, keep)
    true = header.stands_for or incoming.commit
    data = packed.bundle.finished(
        commit=packed.commit,
        stands_for=true if packed.commit != true else None,
        object_format=incoming.object_format,
    )
    digest = serialization.parse_header(data[: serialization.HEADER_SIZE]).sha256
    if checkpoint.manifest is None:
        return data, b""
    code = {**Manifest(checkpoint.manifest).code, **_cut(packed, header.stands_for)}
    changed = {"bundle_sha256": digest, "code": code}
    return data, serialization.manifest_record({**checkpoint.manifest, **changed})


def _cut(packed: Packed, stood_for: str | None) -> Mapping[str, object]:
    """What a manifest says of the cut. Of one that was cut before, it has the true texts."""
    if not packed.texts:
        return {}
    texts = {} if stood_for else {"commit_texts": encoded_texts(packed.texts)}
    return {"cut": AS_ASKED, **texts}


def guarded(records: Records, model: Path, on_secrets: OnSecrets) -> Records:
    """The same, for ``model``; what looks like a secret is a JellyWarning and in the manifest.

    Where detect-secrets is not installed nothing is looked for: the capture has. SecretsFound
    where that was asked for.
    """
    if on_secrets == "ignore" or not detect_secrets.is_installed():
        return records
    try:
        found = _found(records[0])
    except JellyError:  # whoever unpacks it hears what is wrong with it
        return records
    if found and on_secrets == "error":
        raise _refused(found[0], model)
    manifest = Manifest(serialization.parse_manifest(records[1]) if records[1] else None)
    told = {(one.path, one.line) for one in manifest.secrets}
    new = [one for one in found if _is_earlier_file(one) or _in_manifest(one) not in told]
    if not new:
        return records
    _warn(new, model)
    return records[0], _with(manifest, new) if manifest.fields else b""


def _is_earlier_file(found: Match) -> bool:
    """Return True for an earlier version of a file, False for a commit or a name."""
    return found.earlier and bool(found.oid)


def _in_manifest(found: Match) -> tuple[str, int | None]:
    """Return the path, masked as in a manifest, and the line."""
    return mask_forms(found.path), found.line


def _found(data: bytes) -> list[Match]:
    """Secrets alone: the capture has left out what else should not be in it, and named it."""
    header = serialization.parse_header(data[: serialization.HEADER_SIZE])
    bundle = data[header.offset : header.offset + header.size]
    with quarantined([bundle], size=header.size) as incoming:
        places = search(Inside(incoming), _SECONDS).places
    return [one for one in places if one.line is not None]


def _refused(found: Match, model: Path) -> SecretsFound:
    fix = (
        f"leave the history out: jellyml fill --history none {pasteable(model)}"
        if found.earlier
        else "take it out of the file (and revoke it if it ever left this machine), or end the"
        " line with # pragma: allowlist secret."
    )
    what = _named([found])
    return SecretsFound(f"What would be put into {model} looks like a secret: {what}.", fix)


def _warn(found: Sequence[Match], model: Path) -> None:
    rest = len(found) - _NAMED
    more = f", and {rest} more" if rest > 0 else ""
    warnings.warn(
        f"The code holds what looks like a secret: {_named(found[:_NAMED])}{more}."
        f" Fix: jellyml check {pasteable(model)}",
        JellyWarning,
        stacklevel=5,
    )


def _named(found: Sequence[Match]) -> str:
    return ", ".join(
        f"{one.what} in line {one.line} of {one.path}"
        + (" as it once was" if _is_earlier_file(one) else "")
        for one in found
    )


def _with(manifest: Manifest, found: Sequence[Match]) -> bytes:
    """The record with these places; what is in the history alone has none."""
    more = [
        asdict(Credential(one.path, one.line, one.what))
        for one in found
        if one.line is not None and not one.earlier
    ]
    rows = [*manifest.rows("secrets"), *more][:_MOST]
    code = {**manifest.code, "secrets": rows}
    return serialization.manifest_record({**manifest.fields, "code": code})


def payload_for(
    place: Path,
    snapshot: Snapshot | None,
    code_dir: "str | os.PathLike[str] | None" = None,
    source: "str | os.PathLike[str] | None" = None,
    history: "History | None" = None,
) -> Payload:
    """The records to put in, read before the file is touched: it may be its own source."""
    if source is not None:
        records = _of_source(Checkpoint.open(place_of(source)), history)
        # Nothing is refused here: to leave the history out is what helps against what is in it.
        if on_secrets(code_dir) != "ignore":
            records = guarded(records, place, "warn")
    else:
        if not place.exists():
            raise NoSnapshot(f"There is no file {place}.", "check its name and folder.")
        taken = snapshot or snapshot_for(place, code_dir, history)
        records = (taken.filling, taken.manifest)
        if snapshot is None:
            records = guarded(records, place, on_secrets(code_dir))
    if not records[0]:
        raise UsageError("The snapshot holds no code: capturing it failed.", "take it anew.")
    return {key: record for key, record in zip(KEYS, records, strict=True) if record}


def _of_source(checkpoint: Checkpoint, history: "History | None") -> tuple[bytes, bytes]:
    if history == "none" or isinstance(history, int):
        return without_history(checkpoint, 0 if history == "none" else history)
    if history is not None:
        raise UsageError(
            f"history={history!r} cannot be had from a checkpoint, only less than it has.",
            'use "none" or a number of commits.',
        )
    return checkpoint.records()
