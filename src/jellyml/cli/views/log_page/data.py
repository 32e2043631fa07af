"""What the page's script reads: the checkpoints, and what differs between two of them."""

import json
from dataclasses import dataclass, field

from jellyml.catalog.differences import Differences, Patch
from jellyml.catalog.graph import Lineage
from jellyml.cli.terminal import safe
from jellyml.cli.views import tensors
from jellyml.compare import environment
from jellyml.compare.tensors import Difference, Weights
from jellyml.errors import pasteable
from jellyml.secrets.patterns import masked
from jellyml.snapshot.manifest import Manifest

# Of one section of a manifest, of all, and of all differences of weights: what else there is
# is not in the page.
_MOST_FACTS, _LONGEST_FACT = 2_000, 2_000
_MOST_SECTIONS = 8 << 20  # characters
_MOST_ARRAYS = 1_000
_MOST_CELLS = 60_000

Facts = list[tuple[str, str]]


@dataclass
class Data:
    """Sections are facts of manifests, each different one once. The older of two comes first."""

    checkpoints: list[dict[str, object]] = field(default_factory=list)
    environments: list[dict[str, int]] = field(default_factory=list)
    sections: list[Facts] = field(default_factory=list)
    code: dict[str, object] = field(default_factory=dict)
    weights: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> str:
        """As it may stand within a script element: nothing in it ends that."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        made = json.dumps(parts, separators=(",", ":"))
        return made.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def data_of(made: Lineage, differences: Differences) -> Data:
    commits = {name: at for at, name in enumerate({one.commit: 0 for one in made.members})}
    sections = _Sections()
    checkpoints: list[dict[str, object]] = [
        {
            "path": safe(str(one.listed.path)),
            "quoted": safe(pasteable(one.listed.path)),
            "commit": None if one.commit is None else commits[one.commit],
            "environment": sections.of(one.listed.run, one.listed.manifest),
        }
        for one in made.members
    ]
    code: dict[str, object] = {
        f"{commits[one]} {commits[other]}": _code(each)
        for (one, other), each in differences.code.items()
    }
    return Data(checkpoints, sections.environments, sections.all, code, _all_weights(differences))


class _Sections:
    """Most runs share most of their environment: what is the same is held once."""

    def __init__(self) -> None:
        self.all: list[Facts] = []
        self.environments: list[dict[str, int]] = []
        self._numbers: dict[str, int] = {}
        self._of_run: dict[str, int | None] = {}
        self._room = _MOST_SECTIONS

    def of(self, run: str, manifest: Manifest) -> int | None:
        """The number of a run's environment; None where none is recorded, or there is no room."""
        if run not in self._of_run:
            made = {name: self._section(name, part) for name, part in manifest.fields.items()}
            known = {safe(name): number for name, number in made.items() if number is not None}
            self._of_run[run] = len(self.environments) if known else None
            self.environments += [known] if known else []
        return self._of_run[run]

    def _section(self, name: str, part: object) -> int | None:
        facts = _facts(name, part)
        text = json.dumps(facts)
        if text not in self._numbers and len(text) <= self._room:
            self._numbers[text] = len(self.all)
            self._room -= len(text)
            self.all.append(facts)
        return self._numbers.get(text)


def _facts(name: str, part: object) -> Facts:
    """What ``jellyml diff`` compares of a section: all that it holds more than an empty one."""
    found = environment.compared(Manifest({name: {}}), Manifest({name: part}))
    facts = [*found.facts, *found.packages][:_MOST_FACTS]
    return [(safe(each.name[:_LONGEST_FACT]), _short(each.after)) for each in facts]


def _short(text: str | None) -> str:
    return safe((text or "")[:_LONGEST_FACT])


def _code(found: Patch | str) -> dict[str, object]:
    if isinstance(found, str):
        return {"problem": safe(found)}
    # A page is made to be passed on; jellyml diff shows the code as it is.
    lines = masked(found.patch).decode("utf-8", "surrogateescape").split("\n")
    files = [
        (each.status, safe(f"{each.before} -> {each.path}" if each.before else each.path))
        for each in found.files
    ]
    patch = "\n".join("\t".join(map(safe, line.split("\t"))) for line in lines)
    return {"files": files, "patch": patch, "cut": found.cut}


def _all_weights(differences: Differences) -> dict[str, object]:
    made: dict[str, object] = {}
    room = _MOST_CELLS
    for (one, other), found in differences.weights.items():
        shown = _weights(found)
        changed = shown.get("changed")
        room -= len(changed) if isinstance(changed, list) else 0
        if room >= 0:
            made[f"{one} {other}"] = shown
    return made


def _weights(found: Weights | str) -> dict[str, object]:
    """The model's own arrays: an optimizer's state is counted, unless there is nothing else."""
    if isinstance(found, str):
        return {"problem": safe(found)}
    model = [each for each in found.differences if not tensors.is_state(each.name)]
    shown = (model or found.differences)[:_MOST_ARRAYS]
    left = len(found.differences) - len(shown)
    return {"same": found.same, "left": left, "changed": [_cell(each) for each in shown]}


def _cell(each: Difference) -> dict[str, object]:
    layer = tensors.module_of(each.name)
    by = each.amount
    return {
        "layer": safe(layer),
        "name": safe(each.name[len(layer) :].removeprefix(".") or each.name),
        "kind": each.kind,
        "by": by and by.relative,
        "share": by and by.share,
        "words": tensors.words_of(each),
    }
