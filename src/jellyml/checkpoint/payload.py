"""The snapshot of a checkpoint with less history: the same code and commit, its past left out."""

from collections.abc import Mapping
from dataclasses import replace

from jellyml.checkpoint import Checkpoint
from jellyml.code import filling
from jellyml.code.history import AS_ASKED, Packed, recut
from jellyml.code.manifest import encoded_texts
from jellyml.code.scratch import Scratch
from jellyml.model import unpacked


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
    digest = filling.parse_header(data[: filling.HEADER_SIZE]).sha256
    if checkpoint.manifest is None:
        return data, b""
    code = checkpoint.manifest.get("code")
    known = code if isinstance(code, dict) else {}
    changed = {"bundle_sha256": digest, "code": {**known, **_cut(packed, header.stands_for)}}
    return data, filling.manifest_record({**checkpoint.manifest, **changed})


def _cut(packed: Packed, stood_for: str | None) -> Mapping[str, object]:
    """What a manifest says of the cut. Of one that was cut before, it has the true texts."""
    if not packed.texts:
        return {}
    texts = {} if stood_for else {"commit_texts": encoded_texts(packed.texts)}
    return {"cut": AS_ASKED, **texts}
