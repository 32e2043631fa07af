"""What the documentation tells people to type is there: commands, options, targets, names."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import jellyml
from at_the_keyboard import ROOT
from jellyml.cli.dispatch import find, parser_of

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
# A word that stands for something the reader fills in is good for any argument but a number.
FILLED_IN = {"N": "3", "AGE": "30d", "SIZE": "2GB"}


def code_lines(page: Path) -> Iterator[str]:
    """Every line of a code block and every piece of code in the text."""
    text = page.read_text()
    for language, block in FENCE.findall(text):
        if language != "python":
            yield from block.splitlines()
    yield from SPAN.findall(FENCE.sub("", text))


def commands(page: Path, program: str) -> Iterator[str]:
    for line in code_lines(page):
        match = re.fullmatch(rf"\s*(?:\$ )?({program}) (\S.*)", line)
        if match:
            yield match[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_the_documentation_can_be_typed(page: Path) -> None:
    for line in commands(page, "jellyml|jelly|jly"):
        words = shlex.split(line, comments=True)
        if words[0].startswith("-") or words[0] == "COMMAND":
            assert words[0] in ("-h", "--help", "--version", "--no_donut", "COMMAND"), line
            continue
        command = find(words[0])
        if len(words) > 1 and "-h" not in words and not set(line) & set("[]|<>…"):
            given = [FILLED_IN.get(word, word) for word in words[1:]]
            parser_of(command).parse_args(given)  # raises UsageError


def test_the_readme_has_what_the_tests_above_and_below_look_for() -> None:
    assert len(list(commands(ROOT / "README.md", "jellyml"))) >= 8
    assert {"demo", "test"} <= {line.split()[0] for line in commands(ROOT / "README.md", "make")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_in_the_documentation_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in commands(page, "make"):
        for target in (word for word in shlex.split(line, comments=True) if "=" not in word):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_name_in_the_documentation_exists(page: Path) -> None:
    for language, block in FENCE.findall(page.read_text()):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "jellyml" or hasattr(jellyml, node.attr), node.attr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_readme_shows_what_the_help_shows() -> None:
    """The lines that everyone needs are the same in both."""
    from jellyml.cli.dispatch import ESSENTIALS

    readme = (ROOT / "README.md").read_text()
    for line in ESSENTIALS:
        if line.startswith("  jellyml"):
            assert line.strip() in readme
