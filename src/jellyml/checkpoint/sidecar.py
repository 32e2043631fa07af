"""The two files that ``fill`` adds to a folder: a bundle that git clones, and a JSON manifest."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jellyml.checkpoint.checkpoint import MANIFEST_COMING, Checkpoint
from jellyml.checkpoint.folder_search import candidate_files
from jellyml.errors import CannotCarry, JellyError, NoSnapshot, pasteable
from jellyml.formats.edit import Payload
from jellyml.formats.record import KEY, MANIFEST_KEY
from jellyml.formats.registry import format_named
from jellyml.fs import atomic
from jellyml.snapshot import serialization
from jellyml.snapshot.serialization import MANIFEST_SIDECAR, SIDECAR

# In the order of removal: without the bundle, the others do not count.
_SIDECARS = (SIDECAR, MANIFEST_COMING, MANIFEST_SIDECAR)
# Lists the content of torch.distributed.checkpoint shards, which are too large to search.
_DCP_NAMES = ".metadata"
_SEARCHED = 64 << 20  # bytes; a larger file is only glanced at


def refuse_repository(folder: Path) -> None:
    """Raise CannotCarry for a repository: it is the code itself."""
    if (folder / ".git").exists():
        raise CannotCarry(
            f"{folder} is a git repository, not a checkpoint.", "name the checkpoint's folder."
        )


def put(folder: Path, payload: Payload) -> tuple[int, bool]:
    """Write both files. A kill or an error leaves the old pair or the new one.

    Return their size in bytes, and whether they replace others. Raises OSError with the old pair
    in place, NotConfirmed with the new one.
    """
    header = serialization.parse_header(bytes(payload[KEY][: serialization.HEADER_SIZE]))
    bundle = bytes(payload[KEY][header.offset : header.offset + header.size])
    manifest = serialization.sidecar_manifest(payload.get(MANIFEST_KEY), bundle)
    replaced = (folder / SIDECAR).exists()
    # The new manifest has a temporary name. It counts once the new bundle is in place.
    coming = folder / MANIFEST_COMING
    with _remove_on_error(coming):
        atomic.replace(coming, [manifest], mode=0o666)
        flaw = _replace(folder / SIDECAR, bundle)
    try:
        coming.replace(folder / MANIFEST_SIDECAR)
        atomic.sync_folder(folder)
    except OSError as error:
        flaw = atomic.NotConfirmed.because(error)
    if flaw:
        raise flaw
    return len(bundle) + len(manifest), replaced


@contextmanager
def _remove_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            raise JellyError(
                f"{path.parent} could not be changed: {error.strerror}. Its snapshot is the one"
                f" that it was, but {path} is left of the attempt.",
                f"rm {pasteable(path)}",
            ) from None
        if isinstance(error, atomic.NotConfirmed):
            raise error.undone() from None
        raise


def _replace(path: Path, content: bytes) -> atomic.NotConfirmed | None:
    """Replace the file. Return an unconfirmed write: it is raised after the last step."""
    try:
        atomic.replace(path, [content], mode=0o666)
    except atomic.NotConfirmed as error:
        return error
    return None


def take_out(folder: Path) -> None:
    """Remove what ``put`` wrote, and manifests that a killed ``strip`` left.

    Raises NoSnapshot if none exists, OSError with all of them in place, NotConfirmed
    once the first is removed: without the bundle there is no snapshot.
    """
    present = [folder / name for name in _SIDECARS if (folder / name).exists()]
    if not present:
        raise NoSnapshot(
            f"There is no snapshot beside the files of {folder}.",
            f"jellyml show {pasteable(folder)} says whether one of them carries it: name that one.",
        )
    present[0].unlink(missing_ok=True)
    try:
        for path in present[1:]:
            path.unlink(missing_ok=True)
        atomic.sync_folder(folder)
    except OSError as error:
        raise atomic.NotConfirmed.because(error) from None


def parts_of_the_run(folder: Path) -> Iterator[Path]:
    """Yield the files in which the run saved its own snapshot. Large ones are only glanced at."""
    for path in candidate_files(folder, SIDECAR):
        if _is_of_the_run(path):
            yield path


def may_be_in_shards(folder: Path) -> bool:
    """Return whether shards that are too large to search have code; False after a fill."""
    names = folder / _DCP_NAMES
    if (folder / SIDECAR).exists() or not names.is_file():
        return False
    with names.open("rb") as file:
        return KEY.encode() in file.read(_SEARCHED)


def _is_of_the_run(path: Path) -> bool:
    try:
        is_small = path.stat().st_size <= _SEARCHED
        checkpoint = Checkpoint.open(path) if is_small else Checkpoint.glance(path)
        form = format_named(checkpoint.format)
        with path.open("rb") as file:
            # A subfolder that was filled is a separate checkpoint.
            return form is not None and not form.strip(file, (KEY, MANIFEST_KEY))
    except (JellyError, OSError):
        return False
