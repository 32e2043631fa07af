"""The result of a run as JSON: groups of lines, each with its time, and the machine."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.line import Group, Line

VERSION = 1


@dataclass(frozen=True, slots=True)
class Result:
    """Groups by name; a later run of some rows replaces only those."""

    machine: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Result":
        """What an earlier run left; nothing where there was none, or one of another shape."""
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError:
            return cls()
        if record["version"] != VERSION:
            return cls()
        groups = {
            one["name"]: Group(**one | {"lines": [Line.from_json(line) for line in one["lines"]]})
            for one in record["groups"]
        }
        return cls(record["machine"], groups)

    def write(self, path: Path) -> None:
        groups = [
            {
                "name": group.name,
                "when": group.when,
                "load": group.load,
                "seconds": group.seconds,
                "lines": [line.as_json() for line in group.lines],
            }
            for group in self.groups.values()
        ]
        record = {"version": VERSION, "machine": self.machine, "groups": groups}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")

    def lines(self) -> list[Line]:
        return [line for group in self.groups.values() for line in group.lines]
