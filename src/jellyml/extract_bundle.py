"""``jellyml.extract_bundle``: write the git bundle inside a checkpoint into a file."""

import stat
from contextlib import suppress
from dataclasses import dataclass
from os.path import samestat
from pathlib import Path

from jellyml.checkpoint import SIDECAR, Checkpoint
from jellyml.errors import UsageError, pasteable
from jellyml.files import given, mode_of
from jellyml.outputs import BUNDLE, Output
from jellyml.remote.address import Place, Remote, given_place
from jellyml.terminal import Terminal

_HELD = 16 << 20  # bytes that need not be read twice


class ExtractBundleArgs:
    """What ``extract_bundle`` reads; any object with these attributes will do."""

    model: str
    output_path: str | None


@dataclass
class ExtractBundleArgs_dataclass(ExtractBundleArgs):  # noqa: N801 - the name of 1.0
    model: str
    output_path: str | None = None


def extract_bundle(args: ExtractBundleArgs) -> int:
    output = None if args.output_path is None else given("output_path", args.output_path)
    write_bundle(given_place("model", args.model, given), output)
    return 0


def write_bundle(model: Place, output: Path | None = None, *, force: bool | None = None) -> Path:
    """Write it to a file, or into a folder under the model's name; whole or not at all.

    Returns where. A default name replaces nothing, a given one only a bundle that JellyML wrote;
    ``force`` replaces any file, or a link, but the checkpoint. Raises UsageError, NoSnapshot,
    BadSnapshot, OSError.
    """
    checkpoint = Checkpoint.open(model, hold=_HELD)
    if checkpoint.passed_over:
        Terminal().warnings([f"A damaged snapshot was passed over: {checkpoint.passed_over}"])
    target = _target(model, output or Path(), force)
    _refuse_itself(target.path, (model, checkpoint.path))
    target.check()
    target.write(checkpoint.bundle())
    return target.path


def _target(model: Place, path: Path, force: bool | None) -> Output:
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


def _name(model: Place) -> str:
    """The name that the user typed: what a link is called, not what it leads to."""
    name = model.name if isinstance(model, Remote) else model.absolute().name
    return name if isinstance(model, Remote) or name not in ("", "..") else model.resolve().name


def _refuse_itself(target: Path, read: tuple[Place, ...]) -> None:
    """UsageError where the file that is read would be replaced, under any of its names."""
    here = [one for one in read if isinstance(one, Path)]
    with suppress(OSError):  # what cannot be reached is no file that is read
        seen = target.lstat()
        for one in (*here, *(each / SIDECAR for each in here)):
            if one.exists() and samestat(seen, one.stat()):
                raise UsageError(f"{target} is the checkpoint itself.", "name another file.")
