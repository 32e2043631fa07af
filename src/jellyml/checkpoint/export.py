"""Export the code of a checkpoint: write its bundle to a file, or run git on the bundle."""

import stat
import warnings
from collections.abc import Sequence
from contextlib import suppress
from os.path import samestat
from pathlib import Path

from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.errors import JellyWarning, UsageError, pasteable
from jellyml.fs import tempdirs
from jellyml.fs.atomic import replace
from jellyml.fs.output import Output, OutputKind
from jellyml.fs.paths import mode_of
from jellyml.quarantine.quarantine import quarantined
from jellyml.remote.address import Location, Remote
from jellyml.repo.bundle_header import bundle_of
from jellyml.repo.interactive import attached
from jellyml.snapshot.serialization import SIDECAR

_STEM = 60  # characters of the file's name

_CACHED = 16 << 20  # bytes of a bundle that is read once


def run_git(
    model: Location,
    arguments: Sequence[str],
    folder: Path | None = None,
    max_unpacked: int = 4 << 30,
) -> int:
    """Run git in ``folder``. ``{}`` in an argument becomes the path of the bundle."""
    checkpoint = Checkpoint.open(model)
    if checkpoint.damaged:
        damaged = f"A damaged snapshot was passed over: {checkpoint.damaged}"
        warnings.warn(damaged, JellyWarning, stacklevel=3)
    with tempdirs.folder() as temporary:
        # git names a clone after the bundle: model.pth -> model.
        bundle = temporary / f"{model.stem[:_STEM] or 'model'}.bundle"
        replace(bundle, checkpoint.bundle(), durable=False)
        with bundle.open("rb") as file:
            pieces = iter(lambda: file.read(1 << 20), b"")
            size = bundle.stat().st_size
            with quarantined(pieces, size=size, max_unpacked=max_unpacked):
                pass  # raises for a bad bundle, before the user's git reads it
        words = [word.replace("{}", str(bundle)) for word in arguments]
        return attached(folder or Path(), words)


def write_bundle(model: Location, output: Path | None = None, *, force: bool | None = None) -> Path:
    """Write the bundle atomically to a file, or into a folder. Return its path.

    A default name replaces no file, a name that the user gave only a bundle that JellyML wrote.
    ``force`` replaces any file or link except the checkpoint. Raises UsageError, NoSnapshot,
    BadSnapshot, OSError.
    """
    checkpoint = Checkpoint.open(model, cache_size=_CACHED)
    if checkpoint.damaged:
        damaged = f"A damaged snapshot was passed over: {checkpoint.damaged}"
        warnings.warn(damaged, JellyWarning, stacklevel=3)
    kind = bundle_of(checkpoint.header.commit)
    target = _target(model, output or Path(), kind, force)
    _refuse_itself(target.path, (model, checkpoint.path))
    target.check()
    target.write(checkpoint.bundle())
    return target.path


def _target(model: Location, path: Path, kind: OutputKind, force: bool | None) -> Output:
    is_folder = stat.S_ISDIR(mode_of(path))
    if is_folder and path.is_symlink():
        raise UsageError(
            f"{path} is a symbolic link to a folder, and no file is written through a link.",
            f"name the folder itself, {pasteable(path.resolve())}, or a file.",
        )
    instead = "output_path=PATH"
    if force is not None:
        instead = f"jellyml fix extract-bundle {pasteable(model)} -o PATH"
    if is_folder:
        path /= f"{_name(model)}.bundle"
    return Output(path, kind, instead, force, is_default=is_folder)


def _name(model: Location) -> str:
    """Return the name that the user typed: of a link, not of its target."""
    name = model.name if isinstance(model, Remote) else model.absolute().name
    return name if isinstance(model, Remote) or name not in ("", "..") else model.resolve().name


def _refuse_itself(target: Path, locations: tuple[Location, ...]) -> None:
    """Raise UsageError if the target is the checkpoint itself, under any of its names."""
    here = [one for one in locations if isinstance(one, Path)]
    with suppress(OSError):  # an unreachable file is not the checkpoint
        seen = target.lstat()
        for one in (*here, *(each / SIDECAR for each in here)):
            if one.exists() and samestat(seen, one.stat()):
                raise UsageError(f"{target} is the checkpoint itself.", "name another file.")
