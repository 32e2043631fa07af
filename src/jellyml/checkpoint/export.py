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
from jellyml.fs.output import Output
from jellyml.fs.paths import mode_of
from jellyml.quarantine.quarantine import quarantined
from jellyml.remote.address import Location, Remote
from jellyml.repo.bundle_header import BUNDLE
from jellyml.repo.interactive import attached
from jellyml.snapshot.serialization import SIDECAR

_STEM = 60  # characters of the file's name that are enough to know it by

_CACHED = 16 << 20  # bytes of a bundle that is read once


def run_git(
    model: Location,
    arguments: Sequence[str],
    folder: Path | None = None,
    max_unpacked: int = 4 << 30,
) -> int:
    """Run git in ``folder``, ``{}`` in any argument standing for the checkpoint's bundle."""
    checkpoint = Checkpoint.open(model)
    if checkpoint.damaged:
        damaged = f"A damaged snapshot was passed over: {checkpoint.damaged}"
        warnings.warn(damaged, JellyWarning, stacklevel=3)
    with tempdirs.folder() as place:
        # A clone is named after the file that it is made from: model.pth -> model.
        bundle = place / f"{model.stem[:_STEM] or 'model'}.bundle"
        replace(bundle, checkpoint.bundle(), durable=False)
        with bundle.open("rb") as file:
            pieces = iter(lambda: file.read(1 << 20), b"")
            size = bundle.stat().st_size
            with quarantined(pieces, size=size, max_unpacked=max_unpacked):
                pass  # a bundle that is not good raises here, before the user's git reads it
        words = [word.replace("{}", str(bundle)) for word in arguments]
        return attached(folder or Path(), words)


def write_bundle(model: Location, output: Path | None = None, *, force: bool | None = None) -> Path:
    """Write it to a file, or into a folder under the model's name; whole or not at all.

    Returns where. A default name replaces nothing, a given one only a bundle that JellyML wrote;
    ``force`` replaces any file, or a link, but the checkpoint. Raises UsageError, NoSnapshot,
    BadSnapshot, OSError.
    """
    checkpoint = Checkpoint.open(model, cache_size=_CACHED)
    if checkpoint.damaged:
        damaged = f"A damaged snapshot was passed over: {checkpoint.damaged}"
        warnings.warn(damaged, JellyWarning, stacklevel=3)
    target = _target(model, output or Path(), force)
    _refuse_itself(target.path, (model, checkpoint.path))
    target.check()
    target.write(checkpoint.bundle())
    return target.path


def _target(model: Location, path: Path, force: bool | None) -> Output:
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
    return Output(path, BUNDLE, instead, force, is_default=is_folder)


def _name(model: Location) -> str:
    """The name that the user typed: what a link is called, not what it leads to."""
    name = model.name if isinstance(model, Remote) else model.absolute().name
    return name if isinstance(model, Remote) or name not in ("", "..") else model.resolve().name


def _refuse_itself(target: Path, read: tuple[Location, ...]) -> None:
    """UsageError where the file that is read would be replaced, under any of its names."""
    here = [one for one in read if isinstance(one, Path)]
    with suppress(OSError):  # what cannot be reached is no file that is read
        seen = target.lstat()
        for one in (*here, *(each / SIDECAR for each in here)):
            if one.exists() and samestat(seen, one.stat()):
                raise UsageError(f"{target} is the checkpoint itself.", "name another file.")
