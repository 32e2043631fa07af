"""The rich console of a terminal, and the tables and bars that several commands draw on it.

rich is slow to import, so only output that needs it loads this module's functions. The text of a
cell becomes a ``Text``: rich reads markup, emoji codes and links out of a ``str``.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

_WIDEST_LABEL = 40


class Labelled(NamedTuple):
    """A row of two cells, whose text is safe to print; ``style`` is that of the label."""

    label: str
    text: str
    style: str = ""


def console(stream: TextIO, *, colour: bool) -> "Console":
    """Return the console of a stream that is a terminal."""
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=True,
        force_jupyter=False,
        color_system="standard" if colour else None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def two_columns(
    rows: "Iterable[Labelled]", width: int, align: Literal["left", "right"] = "left"
) -> "Table":
    """Return a table of labels, at least ``width`` wide, and texts, without titles or lines."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    # A label that wraps could imitate the next one, so a long one is cut, except on a pipe.
    table.add_column(justify=align, no_wrap=True, min_width=width, max_width=_WIDEST_LABEL)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(Text(row.label, style=row.style), Text(row.text))
    return table


def progress_bar(stream: TextIO, *, colour: bool) -> "Progress":
    """Return a progress bar that disappears when it is stopped."""
    from rich.progress import Progress

    return Progress(console=console(stream, colour=colour), transient=True)
