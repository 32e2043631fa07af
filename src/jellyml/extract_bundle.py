"""``jellyml.extract_bundle``: write the git bundle inside a checkpoint into a file."""

from dataclasses import dataclass

from jellyml.checkpoint.export import write_bundle
from jellyml.fs.paths import given
from jellyml.remote.address import given_place


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
