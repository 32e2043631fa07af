"""Write what the tests found into ``docs/formats.md``: a row for each kind, and what to use."""

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAGE = Path("docs/formats.md")
_COLUMNS = (
    *("What is saved", "Format", "fill", "strip", "in place"),
    *("found without loading", "readers verified"),
)


def rows(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(found, key=lambda row: row["order"])


def table(found: Iterable[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", "| --- " * len(_COLUMNS) + "|"]
    for row in found:
        if library := row.get("missing"):
            lines.append(
                f"| {row['name']} | **not tried**: {library} was not installed |" + " |" * 5
            )
            continue
        kind = f"{row['name']} ({row['version']})"
        if row["fill"]:
            place = "yes" if row["in place"] else "a copy"
            caution = " with a warning" if row["caution"] else ""
            cells = ["yes" + caution, "exact", place, "yes", ", ".join(map(_code, row["readers"]))]
        else:
            cells = [f"refused: {row['reason']}", "", "", "", ""]
        lines.append(f"| {' | '.join([kind, row['format'], *cells])} |")
    return "\n".join(lines)


def lines(found: Iterable[dict[str, Any]]) -> str:
    return "\n".join(
        ["| Library | The line |", "| --- | --- |"]
        + [f"| {row['name']} | {row['line']} |" for row in found if row.get("line")]
    )


def filled_in(page: str, name: str, text: str) -> str:
    """The page with this text between its two marks."""
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    new, count = marks.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    assert count == 1, f"{PAGE} has no place for {name}"
    return new


def _code(reader: str) -> str:
    return f"`{reader}`"


if __name__ == "__main__":
    found = rows(Path(sys.argv[1]))
    page = filled_in(PAGE.read_text(), "table", table(found))
    PAGE.write_text(filled_in(page, "lines", lines(found)))
