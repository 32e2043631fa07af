"""Read the checkpoints below some folders in parallel, and describe them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.catalog.entry import Entry, Without, look
from jellyml.catalog.find import find_candidates
from jellyml.catalog.graph import Point
from jellyml.cli.terminal import Terminal
from jellyml.errors import JellyError
from jellyml.fs.paths import natural_key
from jellyml.remote.address import Remote
from jellyml.secrets.search import masked_text

if TYPE_CHECKING:
    from jellyml.catalog.find import Candidate

# Most of the time is spent waiting for disks, most of all on a network.
_AT_ONCE = 8


@dataclass
class Listing:
    """Checkpoints sorted by run, the newest run first, and the errors.

    ``listed`` carry code, ``without`` hold weights and no code.
    """

    listed: list[Entry] = field(default_factory=list)
    without: list[Without] = field(default_factory=list)
    wrong: list[JellyError] = field(default_factory=list)


def read_checkpoints(paths: Iterable[Path | Remote], terminal: Terminal) -> Listing:
    """Return the checkpoints at and below these paths, with a progress bar."""
    result = Listing()
    candidates: list[Candidate] = []
    for place in find_candidates(paths):
        if isinstance(place, JellyError):
            result.wrong.append(place)
        else:
            candidates.append(place)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for entry in terminal.progress(pool.map(look, candidates), len(candidates), "Reading"):
            match entry:
                case Entry():
                    result.listed.append(entry)
                case Without():
                    result.without.append(entry)
                case JellyError():
                    result.wrong.append(entry)
    result.listed.sort(key=lambda one: natural_key(str(one.path)))
    result.listed.sort(key=lambda one: (one.created or "", one.run), reverse=True)
    return result


def when(one: Entry) -> str:
    """Return when the code was captured, in local time; ``-`` if that is not recorded."""
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(one.created or "")
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "-"


def changes(one: Entry) -> str:
    """Return how the code differed from the commit of HEAD; empty if that is not recorded."""
    if one.dirty is None:
        return ""
    if not one.dirty:
        return "as committed"
    count = f"{one.changed} changed" if one.changed else "changed"
    return f"{count} since {one.base[:8]}" if one.base else count


def about(point: Point) -> Iterator[str]:
    """Yield the facts of a commit, and of the run that made the first of its checkpoints."""
    one = point.members[0].entry if point.members else None
    if one and one.dirty:
        yield changes(one)
    elif point.subject:
        yield masked_text(point.subject)  # the page cuts it, and half a key has no form
    if one and one.branch:
        yield f"on {one.branch}"
    if one:
        yield when(one)
    if point.between:
        yield f"({point.between} commit{'' if point.between == 1 else 's'} between)"
    if point.others and point.row.key == point.commit:
        yield f"also from {', '.join(each[:8] for each in point.others)}"


def record(one: Entry) -> dict[str, object]:
    """Return a checkpoint as JSON shows it."""
    return {
        "path": str(one.path),
        "format": one.format,
        "size": one.size,
        "run": one.run,
        "created": one.created,
        "commit": one.commit,
        "base": one.base,
        "branch": one.branch,
        "dirty": one.dirty,
        "changed": one.changed,
        "command": one.command,
        "host": one.host,
    }


def show_problems(listing: Listing, terminal: Terminal) -> None:
    """Print how many files carry no code, and which could not be read."""
    searched = sum(one.searched for one in listing.without)
    if not listing.listed:
        terminal.note("No checkpoint that carries code was found.")
    if searched:
        terminal.note(
            f"{_files(searched)} with weights carry no code; jellyml fill MODEL puts it in."
        )
    if unsearched := len(listing.without) - searched:
        terminal.note(
            f"{_files(unsearched)} with weights carry no code in the last 16 MB; "
            "jellyml show MODEL searches one to its beginning."
        )
    for problem in listing.wrong:
        terminal.error(problem)


def _files(count: int) -> str:
    return f"{count} more file{'' if count == 1 else 's'}"
