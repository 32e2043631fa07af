"""A hint for a misspelt command never offers one that changes something."""

import string

import pytest

from jellyml.cli.dispatch import COMMANDS, find
from jellyml.errors import UsageError

NAMES = {name: row.name for row in COMMANDS for name in (row.name, *row.aliases)}
READ = {"show", "list", "diff", "log", "check"}


def hint(word: str) -> str:
    with pytest.raises(UsageError) as caught:
        find(word)
    return caught.value.fix


def misspelt(name: str) -> set[str]:
    """One letter too few, too many, another one, or two in the wrong order; and parts."""
    found = {name[:at] for at in range(1, len(name))} | {f"{name}s", name.upper(), f"un{name}"}
    for at in range(len(name)):
        found.add(name[:at] + name[at + 1 :])
        found.add(name[:at] + name[at : at + 2][::-1] + name[at + 2 :])
        found |= {name[:at] + letter + name[at:] for letter in string.ascii_lowercase}
        found |= {name[:at] + letter + name[at + 1 :] for letter in string.ascii_lowercase}
    return found - NAMES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_no_misspelling_leads_to_a_command_that_changes_something(name: str) -> None:
    hints = {word: hint(word) for word in misspelt(name)}
    allowed = {"jellyml -h", *(f"jellyml {each}" for each in READ)}
    assert set(hints.values()) <= allowed, {w: h for w, h in hints.items() if h not in allowed}


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("run", "jellyml -h"),
        ("retrun", "jellyml -h"),
        ("laod", "jellyml -h"),
        ("prune", "jellyml -h"),
        ("restor", "jellyml -h"),
        ("shwo", "jellyml show"),
        ("lst", "jellyml list"),
        ("dif", "jellyml diff"),
        ("chekc", "jellyml check"),
    ],
)
def test_one_that_reads_is_offered(word: str, fix: str) -> None:
    assert hint(word) == fix
