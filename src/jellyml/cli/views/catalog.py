"""The checkpoints below some folders, looked at side by side, and the words about one of them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jellyml.catalog.entry import Entry, Without, look
from jellyml.catalog.find import places
from jellyml.catalog.graph import Point
from jellyml.cli.terminal import Terminal
from jellyml.errors import JellyError
from jellyml.fs.paths import natural_key
from jellyml.remote.address import Remote

if TYPE_CHECKING:
    from jellyml.catalog.find import Candidate

# Most of the time goes by in waiting for disks, on a network above all.
_AT_ONCE = 8


@dataclass
class Found:
    """The newest run first, what one run saved together; and what was wrong."""

    listed: list[Entry] = field(default_factory=list)
    without: list[Without] = field(default_factory=list)
    wrong: list[JellyError] = field(default_factory=list)


def looked_at(paths: Iterable[Path | Remote], terminal: Terminal) -> Found:
    found = Found()
    waiting: list[Candidate] = []
    for place in places(paths):
        if isinstance(place, JellyError):
            found.wrong.append(place)
        else:
            waiting.append(place)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for seen in terminal.progress(pool.map(look, waiting), len(waiting), "Reading"):
            match seen:
                case Entry():
                    found.listed.append(seen)
                case Without():
                    found.without.append(seen)
                case JellyError():
                    found.wrong.append(seen)
    found.listed.sort(key=lambda one: natural_key(str(one.path)))
    found.listed.sort(key=lambda one: (one.created or "", one.run), reverse=True)
    return found


def when(one: Entry) -> str:
    """When the code was captured, where we are."""
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(one.created or "")
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "-"


def changes(one: Entry) -> str:
    """How the code differed from the commit that HEAD stood at."""
    if one.dirty is None:
        return ""
    if not one.dirty:
        return "as committed"
    count = f"{one.changed} changed" if one.changed else "changed"
    return f"{count} since {one.base[:8]}" if one.base else count


def about(point: Point) -> Iterator[str]:
    """What there is to say of a commit, and of the run that made the first of its checkpoints."""
    one = point.members[0].listed if point.members else None
    if one and one.dirty:
        yield changes(one)
    elif point.subject:
        yield point.subject
    if one and one.branch:
        yield f"on {one.branch}"
    if one:
        yield when(one)
    if point.between:
        yield f"({point.between} commit{'' if point.between == 1 else 's'} between)"
    if point.others and point.row.key == point.commit:
        yield f"also from {', '.join(each[:8] for each in point.others)}"


def record(one: Entry) -> dict[str, object]:
    """As JSON has it."""
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


def tell_rest(found: Found, terminal: Terminal) -> None:
    """What carries no code, and what could not be read."""
    sure = sum(one.searched for one in found.without)
    if not found.listed:
        terminal.note("No checkpoint that carries code was found.")
    if sure:
        terminal.note(f"{_files(sure)} with weights carry no code; jellyml fill MODEL puts it in.")
    if more := len(found.without) - sure:
        terminal.note(
            f"{_files(more)} with weights carry no code in the last 16 MB; "
            "jellyml show MODEL searches one to its beginning."
        )
    for problem in found.wrong:
        terminal.error(problem)


def _files(count: int) -> str:
    return f"{count} more file{'' if count == 1 else 's'}"
