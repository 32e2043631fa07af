"""What the page's script reads: the checkpoints, and what differs between two of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from jellyml.errors import pasteable
from jellyml.lineage.lineage import Lineage
from jellyml.terminal import safe


@dataclass
class Data:
    """``code`` by two numbers of commits, ``weights`` by two of checkpoints, the older first."""

    checkpoints: list[dict[str, object]]
    commits: Mapping[str, int]
    environments: list[dict[str, int]] = field(default_factory=list)
    sections: list[list[tuple[str, str]]] = field(default_factory=list)
    code: dict[str, object] = field(default_factory=dict)
    weights: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> str:
        """As it may stand within a script element: nothing in it ends that."""
        made = json.dumps(
            {
                "checkpoints": self.checkpoints,
                "environments": self.environments,
                "sections": self.sections,
                "code": self.code,
                "weights": self.weights,
            },
            separators=(",", ":"),
        )
        return made.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def data_of(made: Lineage) -> Data:
    commits = {
        name: at for at, name in enumerate(dict.fromkeys(one.commit for one in made.members))
    }
    checkpoints: list[dict[str, object]] = [
        {
            "path": safe(str(one.listed.path)),
            "quoted": safe(pasteable(one.listed.path)),
            "commit": None if one.commit is None else commits[one.commit],
            "environment": None,
        }
        for one in made.members
    ]
    return Data(checkpoints, {name: at for name, at in commits.items() if name})
