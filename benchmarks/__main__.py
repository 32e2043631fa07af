"""``python -m benchmarks``: measure, show, and write the result down."""

import argparse
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import machine, table
from benchmarks.bench import Bench, sealed
from benchmarks.line import Group, Line
from benchmarks.measure import Failed
from benchmarks.page import page
from benchmarks.picture import draw
from benchmarks.result import Result
from benchmarks.rows import ROWS, Row
from jellyml import JellyError

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """0 when all was measured, met or not; 1 when something did not work."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, under two minutes")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"only some of: {', '.join(names)}")
    options = parser.parse_args()
    for unknown in sorted({*options.rows} - {*names}):
        parser.error(f"there are no rows {unknown!r}, only {', '.join(names)}")
    folder = ROOT / ("build/bench" if options.quick else "docs")
    earlier = Result.read(folder / "performance.json") if options.rows else Result()
    with sealed(options.quick) as bench:
        result = Result(machine.described(bench.work), earlier.groups)
        print(table.head())
        for row in ROWS:
            if not options.rows or row.name in options.rows:
                result.groups[row.name] = _measured(row, bench)
                _write(result, folder)
    return _summed_up(result, folder)


def _measured(row: Row, bench: Bench) -> Group:
    now = datetime.now(timezone.utc)
    load, began = machine.load(), time.monotonic()
    lines: list[Line] = []
    try:
        for line in row.lines(bench):
            lines.append(line)
            print(table.row(line), flush=True)
    except (Failed, JellyError, OSError, subprocess.CalledProcessError) as problem:
        lines.append(Line(row.name, why=f"{type(problem).__name__}: {problem}"))
        print(table.row(lines[-1]), flush=True)
    return Group(row.name, f"{now:%Y-%m-%d}", load, time.monotonic() - began, lines)


def _write(result: Result, folder: Path) -> None:
    """After every group: a long run that is stopped leaves what it has."""
    order = [row.name for row in ROWS]
    groups = {name: result.groups[name] for name in order if name in result.groups}
    sorted_out = Result(result.machine, groups)
    sorted_out.write(folder / "performance.json")
    draw(sorted_out.lines(), folder / "performance.svg")
    (folder / "performance.md").write_text(page(sorted_out, "performance.svg"))


def _summed_up(result: Result, folder: Path) -> int:
    lines = result.lines()
    met = [line.met for line in lines]
    failed = sum(bool(line.why) for line in lines)
    written = (folder / "performance.md").relative_to(ROOT)
    print(
        f"\n{met.count(True)} met, {met.count(False)} not met, {failed} not measured."
        f" Written: {written}, performance.json, performance.svg."
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
