"""The two files that a folder gets beside its own: a bundle that git clones, and plain JSON."""

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

# In the order in which they go: without the bundle the others are nothing.
_SIDECARS = (SIDECAR, MANIFEST_COMING, MANIFEST_SIDECAR)
# torch.distributed.checkpoint names there what lies in its shards, which are too large to search.
_DCP_NAMES = ".metadata"
_SEARCHED = 64 << 20  # bytes; of larger files only the likely places are looked at


def refuse_repository(folder: Path) -> None:
    """CannotCarry: it is the code itself."""
    if (folder / ".git").exists():
        raise CannotCarry(
            f"{folder} is a git repository, not a checkpoint.", "name the checkpoint's folder."
        )


def put(folder: Path, payload: Payload) -> tuple[int, bool]:
    """Put both in, such that a kill or an error leaves the old pair or the new one.

    Returns their size in bytes, and whether they take the place of others. Raises OSError with
    the old pair in place, NotConfirmed with the new one.
    """
    header = serialization.parse_header(bytes(payload[KEY][: serialization.HEADER_SIZE]))
    bundle = bytes(payload[KEY][header.offset : header.offset + header.size])
    manifest = serialization.sidecar_manifest(payload.get(MANIFEST_KEY), bundle)
    replaced = (folder / SIDECAR).exists()
    # The new manifest waits under a name of its own: with the new bundle in place it counts.
    coming = folder / MANIFEST_COMING
    with _removed_on_error(coming):
        atomic.replace(coming, [manifest], mode=0o666)
        flaw = _replaced(folder / SIDECAR, bundle)
    try:
        coming.replace(folder / MANIFEST_SIDECAR)
        atomic.sync_folder(folder)
    except OSError as error:
        flaw = atomic.NotConfirmed.because(error)
    if flaw:
        raise flaw
    return len(bundle) + len(manifest), replaced


@contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
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


def _replaced(path: Path, content: bytes) -> atomic.NotConfirmed | None:
    """From here on there is no way back: what is not confirmed is told once all is done."""
    try:
        atomic.replace(path, [content], mode=0o666)
    except atomic.NotConfirmed as error:
        return error
    return None


def take_out(folder: Path) -> None:
    """Remove what ``put`` wrote; a strip that was killed may have left manifests.

    Raises NoSnapshot where there is none, OSError with all of them in place, NotConfirmed where
    the first is gone: without the bundle there is no snapshot.
    """
    lying = [folder / name for name in _SIDECARS if (folder / name).exists()]
    if not lying:
        raise NoSnapshot(
            f"No snapshot lies beside the files of {folder}.",
            f"jellyml show {pasteable(folder)} says whether one of them carries it: name that one.",
        )
    lying[0].unlink(missing_ok=True)
    try:
        for path in lying[1:]:
            path.unlink(missing_ok=True)
        atomic.sync_folder(folder)
    except OSError as error:
        raise atomic.NotConfirmed.because(error) from None


def parts_of_the_run(folder: Path) -> Iterator[Path]:
    """Its files in which the run itself put its code, as far as a few reads of each can tell."""
    for path in candidate_files(folder, SIDECAR):
        if _is_of_the_run(path):
            yield path


def may_be_in_shards(folder: Path) -> bool:
    """Whether code was saved in shards that are too large to search; False once it was filled."""
    names = folder / _DCP_NAMES
    if (folder / SIDECAR).exists() or not names.is_file():
        return False
    with names.open("rb") as file:
        return KEY.encode() in file.read(_SEARCHED)


def _is_of_the_run(path: Path) -> bool:
    try:
        is_small = path.stat().st_size <= _SEARCHED
        found = Checkpoint.open(path) if is_small else Checkpoint.glance(path)
        form = format_named(found.format)
        with path.open("rb") as file:
            # A folder below that was filled is a checkpoint of its own.
            return form is not None and not form.strip(file, (KEY, MANIFEST_KEY))
    except (JellyError, OSError):
        return False
