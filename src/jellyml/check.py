"""What should not leave this machine with a checkpoint, looked for in all of its code."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jellyml.model import Model
from jellyml.remote.address import place_of
from jellyml.searched import Searched, search

if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True, slots=True)
class Checked(Searched):
    """The same of a checkpoint, and the commit of its code."""

    commit: str | None


def check(path: "str | PathLike[str]", *, seconds: float = 60.0) -> Checked:
    """Look through the code in a checkpoint, its history included.

    seconds  for the thorough search (detect-secrets, the extra ``secrets``); what is left after
             that is searched by form alone

    Credentials are told by file, line and kind, never themselves; so are other checkpoints,
    data of over 1 MB, and files over 50 MB. Raises NoSnapshot, BadSnapshot, GitError.
    """
    with Model(place_of(path)) as model:
        found = search(model.inside, seconds)
        return Checked(
            found.files,
            found.earlier,
            found.by_form,
            found.is_installed,
            found.places,
            model.commit,
        )
