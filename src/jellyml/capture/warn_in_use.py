"""Warn about code in use: once for each line in a process, on one rank of a machine.

It never raises, even if warnings are errors: ``snapshot.report`` has the same lines.
"""

import os
import warnings
from collections.abc import Iterable
from contextlib import suppress

from jellyml.errors import JellyWarning

_MOST_LINES = 5
_RANKS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID")
_named: set[str] = set()


def warn_in_use(lines: Iterable[str], *, stacklevel: int) -> None:
    """Give one warning, of at most five lines, with the lines that were not named before."""
    new = [line for line in lines if line not in _named]
    _named.update(new)
    if not new or not _is_first_rank():
        return
    room = _MOST_LINES - 1
    shown = new if len(new) <= room else new[: room - 1]
    rest = len(new) - len(shown)
    more = [f"and {rest} more: snapshot.report, jellyml show"] if rest else []
    text = "\n  ".join(["Code in use that the repository does not hold as it ran:", *shown, *more])
    with suppress(Exception):  # an error filter, a closed standard error, the user's showwarning
        warnings.warn(text, JellyWarning, stacklevel=stacklevel + 1)


def _is_first_rank() -> bool:
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), "0")
    return rank == "0"
