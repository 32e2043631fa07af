"""Put a snapshot into an existing checkpoint, and take one out.

A file is edited as its format allows, and ``strip`` restores it byte for byte. A folder gets two
more files.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from jellyml.checkpoint import apply_edit, sidecar
from jellyml.checkpoint.checkpoint import find_records
from jellyml.checkpoint.payload import KEYS, payload_for
from jellyml.errors import CannotCarry, JellyError, NoSnapshot, UsageError, pasteable
from jellyml.formats import gguf, safetensors
from jellyml.formats.edit import Payload, Steps
from jellyml.formats.record import CODE, KEY, MANIFEST, Record
from jellyml.formats.registry import Format, format_of
from jellyml.fs import atomic, tempdirs
from jellyml.remote.address import Remote, parse_location
from jellyml.snapshot import serialization
from jellyml.snapshot.snapshot import Snapshot

if TYPE_CHECKING:
    from jellyml.capture.bundle import History


@dataclass(frozen=True, slots=True)
class Filled:
    """What ``fill`` did. ``size`` is that of the snapshot, in bytes."""

    path: Path
    format: str
    commit: str | None
    size: int
    replaced: bool
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Stripped:
    """What ``strip`` did: restored the file exactly, or wiped the snapshot's bytes."""

    path: Path
    how: Literal["exact", "wiped"]
    more: bool  # the file contains another snapshot


def fill(
    path: "str | os.PathLike[str]",
    snapshot: Snapshot | None = None,
    *,
    code_dir: "str | os.PathLike[str] | None" = None,
    source: "str | os.PathLike[str] | None" = None,
    history: "History | None" = None,
    replace: bool = False,
    follow_links: bool = False,
) -> Filled:
    """Put a snapshot into a checkpoint, a file of any known format or a folder.

    snapshot      what ``create_snapshot`` returned; by default it is created now
    code_dir      the folder with the code; the current folder by default
    source        a checkpoint whose snapshot is copied instead
    history       of a new snapshot, as for ``create_snapshot``; of a ``source``, ``"none"`` or how
                  many commits below the snapshot remain
    replace       replace a snapshot that the run itself saved: it is wiped
    follow_links  change the target of a symbolic link, or a file with several hard links

    With the extra ``secrets``, new code and code from ``source`` is searched for secrets first.
    A match is a JellyWarning, or SecretsFound if ``[tool.jellyml]`` has ``on_secrets = "error"``.

    A snapshot of an earlier ``fill`` is replaced. Other readers of the file are not affected, and
    a kill leaves the old file or the new one. Raises CannotCarry if the format cannot carry a
    snapshot safely or the file contains the run's own snapshot, UnsafeToContinue for links,
    NoSnapshot if there is no such file.
    """
    place = _local_path(path)
    with _explain_errors(place):
        payload = payload_for(place, snapshot, code_dir, source, history)
        if place.is_dir():
            tempdirs.sweep_beside(place)
            return _fill_folder(place, payload, replace, follow_links)
        target = _target(place, follow=follow_links)
        return _fill_file(place, target, payload, replace)


def _local_path(path: "str | os.PathLike[str]") -> Path:
    """Return the path. Raises UsageError for an address: remote files are read only."""
    place = parse_location(path)
    if isinstance(place, Remote):
        raise UsageError(
            f"{place} cannot be changed: it is remote.", "download it, then name the file."
        )
    return place


def _target(place: Path, *, follow: bool) -> Path:
    """Return the file to change, after checks and recovery."""
    target = apply_edit.refuse_links(place, follow=follow)
    apply_edit.refuse_writers(target)
    apply_edit.mend(target)
    tempdirs.sweep_beside(target.parent)
    return target


def fill_of_run(folder: Path, snapshot: Snapshot) -> Filled:
    """Fill a folder that the run saves into. It may be empty. Raises CannotCarry for a repository.

    Its files may carry the same code already.
    """
    with _explain_errors(folder):
        sidecar.refuse_repository(folder)
        return _beside(folder, payload_for(folder, snapshot))


def strip(path: "str | os.PathLike[str]", *, follow_links: bool = False) -> Stripped:
    """Take a snapshot out of a checkpoint.

    If ``fill`` put it in, the file is restored byte for byte. A snapshot that was saved with the
    model is wiped: its bytes and the manifest's become zeros, and every loader reads the file as
    before. Raises NoSnapshot without a snapshot, CannotCarry if it cannot be wiped.
    """
    place = _local_path(path)
    with _explain_errors(place):
        if place.is_dir():
            tempdirs.sweep_beside(place)
            sidecar.take_out(place)
            return Stripped(place, "exact", more=False)
        target = _target(place, follow=follow_links)
        with target.open("rb") as file:
            seen = os.fstat(file.fileno())
            kind, steps = format_of(file), Steps(file)
            how: Literal["exact", "wiped"] = "exact"
            if edit := kind.strip(file, KEYS):
                steps.add(edit)
            elif carried := _carried(file):
                steps.add(kind.wipe(file, carried))
                how = "wiped"
            else:
                raise NoSnapshot(f"{place} carries no JellyML snapshot.")
            more = bool(_carried(steps.result))
            _apply(target, steps, seen)
        return Stripped(place, how, more)


def _fill_file(place: Path, target: Path, payload: Payload, replace: bool) -> Filled:
    with target.open("rb") as file:
        seen = os.fstat(file.fileno())
        kind, steps = format_of(file), Steps(file)
        old = kind.strip(file, KEYS)
        if old:
            steps.add(old)
        carried = _carried(steps.result)
        if carried and not replace:
            raise CannotCarry(
                f"{place} carries the snapshot that its run put there: the truth about it.",
                f"jellyml fill --replace {pasteable(place)} wipes that one.",
            )
        try:
            if carried:
                steps.add(kind.wipe(steps.result, carried))
            _refuse_cut(target, kind)
            steps.add(kind.fill(steps.result, payload))
        except CannotCarry as error:
            raise _refused(place, kind, error) from None
        _apply(target, steps, seen)
    size = sum(map(len, payload.values()))
    replaced = bool(old or carried)
    return Filled(place, kind.name, _commit_of(payload), size, replaced, steps.caution)


def _refuse_cut(target: Path, kind: Format) -> None:
    """Raise CannotCarry for a file that is still being copied: the rest would follow the snapshot.

    Other formats have an end marker.
    """
    if kind not in (gguf, safetensors):
        return
    from jellyml.tensors.lazy_array import NOT_THERE
    from jellyml.tensors.readers import arrays_of

    cut = False
    with suppress(JellyError):  # a file without readable arrays is not checked
        cut = any(array.flaw == NOT_THERE for array in arrays_of(target).values())
    if cut:
        raise CannotCarry("It is cut off: not all of its arrays are there.", "get all of it.")


def _refused(place: Path, kind: Format, error: CannotCarry) -> CannotCarry:
    folder = place.absolute().parent
    fix = f"jellyml fill {pasteable(folder)} puts it beside the file."
    if (folder / ".git").exists():
        fix = "move the file into a folder of its own; jellyml fill puts it beside it there."
    return CannotCarry(
        f"A snapshot cannot be put into {place} ({kind.name}). {error.problem}",
        error.fix or fix,
    )


def _carried(file: BinaryIO) -> list[Record]:
    """Return the verified records of both kinds, without the bytes after them.

    A record that a search found extends to the end of the file.
    """
    code = [
        record.part(0, header.offset + header.size) or record
        for header, record in find_records(file, CODE, serialization.prove, [])
    ]
    if not code:
        return []
    manifests = find_records(file, MANIFEST, serialization.size_of_manifest, [])
    return code + [record.part(0, size) or record for size, record in manifests]


def _apply(target: Path, steps: Steps, seen: os.stat_result) -> None:
    if steps.edit:
        apply_edit.amend(target, steps.edit, seen)
    else:
        apply_edit.rewrite(target, steps.chunks(), seen)


def _fill_folder(folder: Path, payload: Payload, replace: bool, follow: bool) -> Filled:
    sidecar.refuse_repository(folder)
    if not any(folder.iterdir()):
        raise CannotCarry(f"{folder} is empty, not a checkpoint.", "name the checkpoint's folder.")
    own = list(sidecar.parts_of_the_run(folder))
    if not replace and (own or sidecar.may_be_in_shards(folder)):
        what = "wipes that one" if own else "puts another one beside it, which counts"
        raise CannotCarry(
            f"{(own or [folder])[0]} carries the snapshot that its run put there: the truth"
            " about it.",
            f"jellyml fill --replace {pasteable(folder)} {what}.",
        )
    targets = [_target(one, follow=follow) for one in own]
    filled = _beside(folder, payload, instead=bool(own))
    try:
        for target in targets:
            _wipe(target)
    except OSError as error:
        raise atomic.NotConfirmed.because(error) from None  # the folder carries the new one
    return filled


def _wipe(target: Path) -> None:
    """Overwrite the run's own snapshot with zeros."""
    with target.open("rb") as file:
        seen, steps = os.fstat(file.fileno()), Steps(file)
        steps.add(format_of(file).wipe(file, _carried(file)))
        _apply(target, steps, seen)


def _beside(folder: Path, payload: Payload, *, instead: bool = False) -> Filled:
    size, replaced = sidecar.put(folder, payload)
    return Filled(folder, "folder", _commit_of(payload), size, replaced or instead)


def _commit_of(payload: Payload) -> str | None:
    return serialization.parse_header(bytes(payload[KEY][: serialization.HEADER_SIZE])).commit


@contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NoSnapshot(f"There is no file {path}.", "check its name and folder.") from None
    except atomic.NotConfirmed as error:
        where = f" ({error.filename})" if error.filename else ""
        raise JellyError(
            f"{path} was changed, but the system did not confirm all of it: {error.strerror}"
            f"{where}. A power cut may undo a part.",
            "check its disk, then run the command again.",
        ) from None
    except OSError as error:
        raise JellyError(
            f"{path} could not be changed: {error.strerror or error}. It is as it was.",
            "check its permissions and the room on its disk.",
        ) from None
