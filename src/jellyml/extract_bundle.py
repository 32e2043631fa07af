"""``jellyml.extract_bundle``: write the git bundle inside a checkpoint to a file."""

from dataclasses import dataclass

from jellyml.checkpoint.export import write_bundle
from jellyml.fs.paths import parse_path
from jellyml.remote.address import parse_argument


class ExtractBundleArgs:
    """The argument of ``extract_bundle``; any object with these attributes works."""

    model: str
    output_path: str | None


@dataclass
class ExtractBundleArgs_dataclass(ExtractBundleArgs):  # noqa: N801 - the name of 1.0
    model: str
    output_path: str | None = None


def extract_bundle(args: ExtractBundleArgs) -> int:
    """Write the bundle and return 0. Raises JellyError."""
    output = None if args.output_path is None else parse_path("output_path", args.output_path)
    write_bundle(parse_argument("model", args.model, parse_path), output)
    return 0
