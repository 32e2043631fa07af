"""The records to put into a checkpoint: a new or copied snapshot, checked for secrets."""

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
from jellyml.remote.address import parse_location
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
"""The filling and the manifest. The manifest may be empty."""

KEYS = (KEY, MANIFEST_KEY)


def without_history(checkpoint: Checkpoint, keep: int) -> tuple[bytes, bytes]:
    """Return a filling with ``keep`` commits below the snapshot, and its manifest or ``b""``.

    The code is unpacked in quarantine. Raises NoSnapshot, BadSnapshot, GitError.
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
    """Return the manifest's fields for the cut. After an earlier cut it has the texts already."""
    if not packed.texts:
        return {}
    texts = {} if stood_for else {"commit_texts": encoded_texts(packed.texts)}
    return {"cut": AS_ASKED, **texts}


def check_secrets(records: Records, model: Path, on_secrets: OnSecrets) -> Records:
    """Search the records for secrets, and return them with the matches in the manifest.

    A match is a JellyWarning; SecretsFound if ``on_secrets`` is ``"error"``. Without detect-secrets
    nothing is searched: the capture has searched for known forms already.
    """
    if on_secrets == "ignore" or not detect_secrets.is_installed():
        return records
    try:
        matches = _search(records[0])
    except JellyError:  # the command that unpacks it raises the error
        return records
    if matches and on_secrets == "error":
        raise _refused(matches[0], model)
    manifest = Manifest(serialization.parse_manifest(records[1]) if records[1] else None)
    known = {(one.path, one.line) for one in manifest.secrets}
    new = [one for one in matches if _is_earlier_file(one) or _in_manifest(one) not in known]
    if not new:
        return records
    _warn(new, model)
    return records[0], _with(manifest, new) if manifest.fields else b""


def _is_earlier_file(match: Match) -> bool:
    """Return True for an earlier version of a file, False for a commit or a name."""
    return match.earlier and bool(match.oid)


def _in_manifest(match: Match) -> tuple[str, int | None]:
    """Return the path, masked as in a manifest, and the line."""
    return mask_forms(match.path), match.line


def _search(data: bytes) -> list[Match]:
    """Return the secrets only: the capture has reported data and checkpoints."""
    header = serialization.parse_header(data[: serialization.HEADER_SIZE])
    bundle = data[header.offset : header.offset + header.size]
    with quarantined([bundle], size=header.size) as incoming:
        places = search(Inside(incoming), _SECONDS).places
    return [one for one in places if one.line is not None]


def _refused(match: Match, model: Path) -> SecretsFound:
    fix = (
        f"leave the history out: jellyml fill --history none {pasteable(model)}"
        if match.earlier
        else "take it out of the file (and revoke it if it ever left this machine), or end the"
        " line with # pragma: allowlist secret."
    )
    what = _named([match])
    return SecretsFound(f"What would be put into {model} looks like a secret: {what}.", fix)


def _warn(matches: Sequence[Match], model: Path) -> None:
    rest = len(matches) - _NAMED
    more = f", and {rest} more" if rest > 0 else ""
    warnings.warn(
        f"The code holds what looks like a secret: {_named(matches[:_NAMED])}{more}."
        f" Fix: jellyml check {pasteable(model)}",
        JellyWarning,
        stacklevel=5,
    )


def _named(matches: Sequence[Match]) -> str:
    return ", ".join(
        f"{one.what} in line {one.line} of {one.path}"
        + (" as it once was" if _is_earlier_file(one) else "")
        for one in matches
    )


def _with(manifest: Manifest, matches: Sequence[Match]) -> bytes:
    """Return the manifest's record with these matches, without those in the history."""
    more = [
        asdict(Credential(one.path, one.line, one.what))
        for one in matches
        if one.line is not None and not one.earlier
    ]
    rows = [*manifest.rows("secrets"), *more][:_MOST]
    code = {**manifest.code, "secrets": rows}
    return serialization.manifest_record({**manifest.fields, "code": code})


def payload_for(
    path: Path,
    snapshot: Snapshot | None,
    code_dir: "str | os.PathLike[str] | None" = None,
    source: "str | os.PathLike[str] | None" = None,
    history: "History | None" = None,
) -> Payload:
    """Read the records before the file is changed: it may be its own source."""
    if source is not None:
        records = _of_source(Checkpoint.open(parse_location(source)), history)
        # Only a warning: copying without history is how a user removes a secret from it.
        if on_secrets(code_dir) != "ignore":
            records = check_secrets(records, path, "warn")
    else:
        if not path.exists():
            raise NoSnapshot(f"There is no file {path}.", "check its name and folder.")
        new = snapshot or snapshot_for(path, code_dir, history)
        records = (new.filling, new.manifest)
        if snapshot is None:
            records = check_secrets(records, path, on_secrets(code_dir))
    if not records[0]:
        raise UsageError("The snapshot holds no code: capturing it failed.", "take it anew.")
    return {key: record for key, record in zip(KEYS, records, strict=True) if record}


def _of_source(checkpoint: Checkpoint, history: "History | None") -> tuple[bytes, bytes]:
    if history == "none" or isinstance(history, int):
        return without_history(checkpoint, 0 if history == "none" else history)
    if history is not None:
        raise UsageError(
            f"history={history!r} is not possible: a checkpoint has only the saved history.",
            'use "none" or a number of commits.',
        )
    return checkpoint.records()
