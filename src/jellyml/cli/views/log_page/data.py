"""The data of the page's script: the checkpoints, and the differences of pairs of them."""

import json
from dataclasses import dataclass, field

from jellyml.catalog.differences import Differences, Patch
from jellyml.catalog.graph import Lineage
from jellyml.cli.terminal import safe, shown
from jellyml.cli.views import tensors
from jellyml.compare import environment
from jellyml.compare.tensors import Difference, Weights
from jellyml.errors import pasteable
from jellyml.secrets.search import masked, masked_text
from jellyml.snapshot.manifest import Manifest

# Limits of one section of a manifest, of all sections, and of all differences of weights. The page
# leaves out the rest.
_MOST_FACTS, _LONGEST_FACT = 2_000, 2_000
_MOST_SECTIONS = 8 << 20  # characters
_MOST_ARRAYS = 1_000
_MOST_CELLS = 60_000

Facts = list[tuple[str, str]]


@dataclass
class Data:
    """``sections`` are the distinct sections of all manifests. Pairs have the older one first."""

    checkpoints: list[dict[str, object]] = field(default_factory=list)
    environments: list[dict[str, int]] = field(default_factory=list)
    sections: list[Facts] = field(default_factory=list)
    code: dict[str, object] = field(default_factory=dict)
    weights: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return JSON that is safe inside a script element: nothing in it ends the element."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        text = json.dumps(parts, separators=(",", ":"))
        return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def data_of(tree: Lineage, differences: Differences) -> Data:
    """Return the data of the page."""
    commits = {name: at for at, name in enumerate({one.commit: 0 for one in tree.members})}
    sections = _Sections()
    checkpoints: list[dict[str, object]] = [
        {
            "path": shown(str(one.entry.path)),
            "quoted": shown(pasteable(one.entry.path)),
            "commit": None if one.commit is None else commits[one.commit],
            "environment": sections.of(one.entry.run, one.entry.manifest),
        }
        for one in tree.members
    ]
    code: dict[str, object] = {
        f"{commits[one]} {commits[other]}": _code(each)
        for (one, other), each in differences.code.items()
    }
    return Data(checkpoints, sections.environments, sections.all, code, _all_weights(differences))


class _Sections:
    """The distinct sections of manifests, each stored once: runs have most in common."""

    def __init__(self) -> None:
        self.all: list[Facts] = []
        self.environments: list[dict[str, int]] = []
        self._numbers: dict[str, int] = {}
        self._of_run: dict[str, int | None] = {}
        self._room = _MOST_SECTIONS

    def of(self, run: str, manifest: Manifest) -> int | None:
        """Return the index of a run's environment; None if none is recorded or nothing fits."""
        if run not in self._of_run:
            numbers = {name: self._section(name, part) for name, part in manifest.fields.items()}
            environment = {
                shown(name): number for name, number in numbers.items() if number is not None
            }
            self._of_run[run] = len(self.environments) if environment else None
            self.environments += [environment] if environment else []
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
    """Return the facts that ``jellyml diff`` compares: the difference to an empty section."""
    differences = environment.compare(Manifest({name: {}}), Manifest({name: part}))
    facts = [*differences.facts, *differences.packages][:_MOST_FACTS]
    return [(_short(each.name), _short(each.after)) for each in facts]


def _short(text: str | None) -> str:
    return safe(masked_text(text or "")[:_LONGEST_FACT])


def _code(patch: Patch | str) -> dict[str, object]:
    if isinstance(patch, str):
        return {"problem": shown(patch)}
    # Credentials are masked, since pages are shared. jellyml diff shows the code unmasked.
    lines = masked(patch.patch).decode("utf-8", "surrogateescape").split("\n")
    files = [
        (each.status, shown(f"{each.before} -> {each.path}" if each.before else each.path))
        for each in patch.files
    ]
    text = "\n".join("\t".join(map(safe, line.split("\t"))) for line in lines)
    return {"files": files, "patch": text, "cut": patch.cut}


def _all_weights(differences: Differences) -> dict[str, object]:
    result: dict[str, object] = {}
    room = _MOST_CELLS
    for (one, other), weights in differences.weights.items():
        cells = _weights(weights)
        changed = cells.get("changed")
        room -= len(changed) if isinstance(changed, list) else 0
        if room >= 0:
            result[f"{one} {other}"] = cells
    return result


def _weights(weights: Weights | str) -> dict[str, object]:
    """Return the arrays that differ; an optimizer's state only if nothing else differs."""
    if isinstance(weights, str):
        return {"problem": shown(weights)}
    model = [each for each in weights.differences if not tensors.is_state(each.name)]
    selection = (model or weights.differences)[:_MOST_ARRAYS]
    omitted = len(weights.differences) - len(selection)
    return {"same": weights.same, "left": omitted, "changed": [_cell(each) for each in selection]}


def _cell(each: Difference) -> dict[str, object]:
    layer = tensors.module_of(each.name)
    by = each.amount
    return {
        "layer": shown(layer),
        "name": shown(each.name[len(layer) :].removeprefix(".") or each.name),
        "kind": each.kind,
        "by": by and by.relative,
        "share": by and by.share,
        "words": tensors.words_of(each),
    }
