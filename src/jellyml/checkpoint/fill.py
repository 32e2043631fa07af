"""Put a snapshot into a checkpoint that is there already, and take one out.

A file gets it where its format allows, by an edit that ``strip`` takes back to the byte; a folder
gets two files beside its own.
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
    """What ``fill`` did. ``size`` is what it put in, in bytes."""

    path: Path
    format: str
    commit: str | None
    size: int
    replaced: bool
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Stripped:
    """What ``strip`` did: gave back the file as it was before ``fill``, or wiped bytes in it."""

    path: Path
    how: Literal["exact", "wiped"]
    more: bool  # another snapshot is still in it


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

    snapshot      what ``create_snapshot`` returned; by default one is taken now
    code_dir      where it is then taken; the current folder by default
    source        a checkpoint whose snapshot is put in instead
    history       of a snapshot taken now, as ``create_snapshot`` has it; of a ``source``,
                  ``"none"`` or how many commits below the snapshot are kept
    replace       also where the run itself put one in: it is wiped
    follow_links  also through a symbolic link, or into a file that has several names

    All of the code that is taken now or comes from ``source`` is looked through for secrets
    before, with the extra ``secrets``: a JellyWarning, or SecretsFound where ``[tool.jellyml]``
    says ``on_secrets = "error"``.

    A snapshot that an earlier ``fill`` put in is replaced. Every other reader of the file goes
    on as before, and a kill leaves the old file or the new one. Raises CannotCarry where the
    format cannot carry a snapshot safely or the run's own snapshot is in it, UnsafeToContinue
    for links, NoSnapshot when there is no such file.
    """
    place = _here(path)
    with _told(place):
        payload = payload_for(place, snapshot, code_dir, source, history)
        if place.is_dir():
            tempdirs.sweep_beside(place)
            return _fill_folder(place, payload, replace, follow_links)
        target = _target(place, follow=follow_links)
        return _fill_file(place, target, payload, replace)


def _here(path: "str | os.PathLike[str]") -> Path:
    """UsageError for an address: what lies there is read only."""
    place = parse_location(path)
    if isinstance(place, Remote):
        raise UsageError(
            f"{place} cannot be changed where it lies.", "download it, then name the file."
        )
    return place


def _target(place: Path, *, follow: bool) -> Path:
    """The file to be changed, whole and at rest."""
    target = apply_edit.refuse_links(place, follow=follow)
    apply_edit.refuse_writers(target)
    apply_edit.mend(target)
    tempdirs.sweep_beside(target.parent)
    return target


def fill_of_run(folder: Path, snapshot: Snapshot) -> Filled:
    """Into a folder that the run itself saves into, which may be empty as yet.

    What may lie in its files is the same code. Raises CannotCarry for a repository.
    """
    with _told(folder):
        sidecar.refuse_repository(folder)
        return _beside(folder, payload_for(folder, snapshot))


def strip(path: "str | os.PathLike[str]", *, follow_links: bool = False) -> Stripped:
    """Take a snapshot out of a checkpoint.

    One that ``fill`` put in leaves the file as it was before, byte for byte. One that was saved
    with the model is wiped: its bytes and the manifest's become zeros, in a new file of the same
    size that every loader reads as before. Raises NoSnapshot when there is none, CannotCarry
    where it cannot be wiped.
    """
    place = _here(path)
    with _told(place):
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
    """CannotCarry for a file that may still be coming: what is appended would lie in its middle.

    Other formats end with what says that they do.
    """
    if kind not in (gguf, safetensors):
        return
    from jellyml.tensors.lazy_array import NOT_THERE
    from jellyml.tensors.readers import arrays_of

    cut = False
    with suppress(JellyError):  # whether it is whole cannot be told
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
    """The records in a file, of both kinds, that prove themselves, and not a byte behind them.

    Where a search found them, the place that it gives goes on to the end of the file.
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
    """What the run put there itself becomes zeros."""
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
def _told(path: Path) -> Iterator[None]:
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
