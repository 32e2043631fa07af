"""``jellyml.git``: git, with the code inside a checkpoint as a repository."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jellyml import throwaway
from jellyml.checkpoint import Checkpoint
from jellyml.code.attached import attached
from jellyml.code.bundle import quarantined
from jellyml.errors import UsageError
from jellyml.files import replace
from jellyml.remote.address import Place, place_of
from jellyml.terminal import Terminal

_STEM = 60  # characters of the file's name that are enough to know it by


class GitArgs:
    """What ``git`` reads: the path of the checkpoint, then git's own arguments."""

    args: list[str]


@dataclass
class GitArgs_dataclass(GitArgs):  # noqa: N801 - the name of 1.0
    args: list[str] = field(default_factory=list)


def git(args: GitArgs) -> int:
    """Run git and return its exit status."""
    if not args.args:
        raise UsageError("The first of args is the path of the checkpoint.")
    return run_git(place_of(args.args[0]), args.args[1:])


def run_git(
    model: Place,
    arguments: Sequence[str],
    folder: Path | None = None,
    max_unpacked: int = 4 << 30,
) -> int:
    """Run git in ``folder``, ``{}`` in any argument standing for the checkpoint's bundle."""
    checkpoint = Checkpoint.open(model)
    if checkpoint.passed_over:
        Terminal().warnings([f"A damaged snapshot was passed over: {checkpoint.passed_over}"])
    with throwaway.folder() as place:
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
