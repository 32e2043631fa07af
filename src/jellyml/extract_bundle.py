"""``jellyml.extract_bundle``: write the git bundle inside a checkpoint into a file."""

import stat
from dataclasses import dataclass
from pathlib import Path

from jellyml.checkpoint import Checkpoint
from jellyml.errors import UsageError
from jellyml.files import given, mode_of, replace, resolved, to_write
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


def write_bundle(model: Place, output: Path | None = None) -> Path:
    """Write it to a file, or into a folder under the model's name; whole or not at all."""
    checkpoint = Checkpoint.open(model, hold=_HELD)
    if checkpoint.passed_over:
        Terminal().warnings([f"A damaged snapshot was passed over: {checkpoint.passed_over}"])
    target = output or Path()
    if stat.S_ISDIR(mode_of(target)):
        name = model.name if isinstance(model, Remote) else resolved(model).name
        target /= f"{name}.bundle"
    target = to_write(target)
    if isinstance(model, Path) and target.exists() and target.samefile(model):
        raise UsageError(f"{target} is the checkpoint itself.", "choose another output path.")
    replace(target, checkpoint.bundle(), mode=0o666)
    return target
