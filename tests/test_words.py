"""Plain English: some literary turns of phrase appear in no text of the project.

Docstrings, comments and strings of ``src`` are searched (help texts are among them), and the pages
of the documentation.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "jellyml"

TURNS = re.compile(
    r"\b("
    r"lies|lying|lie (in|at|on|beside|below|there|here)"
    r"|stands(?! (for|in for)\b)|standing"
    r"|(to|can|could|cannot) be had"
    r"|for who|whoever|who (asks|waits|reads|writes|comes|opens|looks|wants)"
    r"|nobody|somebody|a stranger's|strangers'"
    r"|of (ours|theirs)|of (the user|git|JellyML)'s( own)?(?=[.,;:)]| that\b| which\b)"
    r"|there (is|are) nowhere|there is none of"
    r"|(?<!there )(is|are) no (file|folder|page|number|array|checkpoint|text|bundle|ordinary|git)"
    r"|ha(s|ve) not (its|their|his)"
    r"|all of ours|(has|have) (no|a) say"
    r"|(is|are|was|were) to (be|become|go)|may well|for want of|no longer what"
    r"|anybody|who (has|have)|nothing of ours|as (it|they) lay|(comes?|came) to lie"
    r"|(made|written|drawn|begins?) anew|(in|of|for) whatever"
    r")\b",
    re.IGNORECASE,
)

# Names of code may be anything.
CODE = re.compile(r"``[^`]+``|`[^`]+`")
# A block of code in a page; its marks would pair with those of the spans above.
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def texts_of(path: Path) -> Iterator[str]:
    """Docstrings, strings and comment blocks of a module; a page without its blocks of code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield BLOCK.sub("", source)
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    numbered = enumerate(comments)
    # Comments on consecutive lines are one text: a turn may be wrapped.
    for _, block in groupby(numbered, lambda pair: pair[1].start[0] - pair[0]):
        yield " ".join(token.string.lstrip("# ") for _, token in block)


def hits(path: Path) -> list[str]:
    """Each turn in a file, with the words around it."""
    found = []
    for text in texts_of(path):
        line = CODE.sub("``", " ".join(text.split()))
        for match in TURNS.finditer(line):
            found.append(f"…{line[max(0, match.start() - 40) : match.end() + 30]}…")
    return found


FILES = (
    *sorted(SOURCE.rglob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "CHANGELOG.md",
    ROOT / "README.md",
    ROOT / "SECURITY.md",
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_text_is_plain_english(path: Path) -> None:
    assert hits(path) == []


def test_a_turn_is_seen_where_it_is_wrapped(tmp_path: Path) -> None:
    module, page = tmp_path / "module.py", tmp_path / "page.md"
    module.write_text("# Nothing is to\n# be had here.\n'a file of\\n ours, which lies there'\n")
    page.write_text("```\n`nobody\n```\nThe file `nobody` stands\nhere, for who looks.\n")
    assert len(hits(module)) == 3
    assert len(hits(page)) == 2
