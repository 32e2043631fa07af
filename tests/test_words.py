"""Plain English: the turns of phrase that STYLE.md rules out appear in no cleaned text.

Docstrings, comments and strings of ``src`` are searched, and the pages of the documentation.
``CLEAN`` lists what must have no hit at all. ``LEFT`` lists the files that still have some, with
their number, which can only go down. After a rewrite, remove the file from ``LEFT`` and, once a
package has no entry, add the package to ``CLEAN``. ``python tests/test_words.py`` prints the
present ``LEFT``.
"""

import ast
import io
import re
import sys
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
    r")\b",
    re.IGNORECASE,
)

# Names of code may be anything.
CODE = re.compile(r"``[^`]+``|`[^`]+`")

# Packages of src/jellyml, and pages, that have no hit.
CLEAN = ("cli", "fs", "quarantine", "repo", "workspace", "docs/architecture.md")

# Files that still have hits. A number may go down, never up.
LEFT: dict[str, int] = {
    "capture/bundle.py": 2,
    "capture/create.py": 4,
    "capture/settings.py": 1,
    "catalog/made_by.py": 1,
    "checkpoint/apply_edit.py": 13,
    "checkpoint/audit.py": 1,
    "checkpoint/bounded_file.py": 1,
    "checkpoint/checkpoint.py": 5,
    "checkpoint/export.py": 2,
    "checkpoint/fill.py": 4,
    "checkpoint/payload.py": 2,
    "checkpoint/reader.py": 4,
    "checkpoint/sidecar.py": 2,
    "formats/containers/pickle/builder.py": 2,
    "formats/containers/pickle/end.py": 1,
    "formats/containers/pickle/machine.py": 1,
    "formats/containers/pickle/objects.py": 1,
    "formats/containers/pickle/window.py": 1,
    "formats/containers/trailer.py": 1,
    "formats/containers/zip.py": 2,
    "formats/edit.py": 3,
    "formats/flax_msgpack.py": 1,
    "formats/hdf5.py": 2,
    "formats/npy.py": 2,
    "formats/onnx.py": 1,
    "formats/pickle.py": 1,
    "formats/record.py": 2,
    "formats/signatures.py": 4,
    "formats/tflite.py": 1,
    "formats/torch_zip.py": 3,
    "recorder/recorder.py": 1,
    "remote/address.py": 1,
    "remote/file.py": 4,
    "secrets/detect_secrets.py": 1,
    "secrets/patterns.py": 2,
    "secrets/redact.py": 5,
    "snapshot/environment.py": 2,
    "snapshot/manifest.py": 3,
    "snapshot/serialization.py": 5,
    "snapshot/snapshot.py": 1,
    "tensors/byte_range.py": 2,
    "tensors/gguf.py": 1,
    "tensors/lazy_array.py": 6,
    "tensors/readers.py": 2,
    "tensors/strides.py": 2,
    "tensors/to_numpy.py": 1,
    "working_tree/attributes.py": 2,
    "working_tree/exclude.py": 1,
    "working_tree/scan.py": 4,
    "working_tree/scratch.py": 2,
    "working_tree/selection.py": 4,
    "working_tree/status.py": 4,
    "docs/format.md": 4,
    "docs/formats.md": 7,
    "docs/integrations.md": 2,
    "docs/manifest.md": 7,
    "docs/promises.md": 19,
}


def texts_of(path: Path) -> Iterator[str]:
    """Docstrings, strings and comment blocks of a module; the whole of any other file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield source
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


def name_of(path: Path) -> str:
    """The path as it is written in ``CLEAN`` and ``LEFT``."""
    base = SOURCE if path.is_relative_to(SOURCE) else ROOT
    return path.relative_to(base).as_posix()


def is_clean(name: str) -> bool:
    return any(name == entry or name.startswith(f"{entry}/") for entry in CLEAN)


FILES = {
    name_of(path): path
    for path in (
        *sorted(SOURCE.rglob("*.py")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "README.md",
    )
}


@pytest.mark.parametrize("entry", CLEAN)
def test_cleaned_text_is_plain_english(entry: str) -> None:
    files = [name for name in FILES if name == entry or name.startswith(f"{entry}/")]
    assert files, f"{entry} is in CLEAN and does not exist"
    problems = [f"{name}: {hit}" for name in files for hit in hits(FILES[name])]
    assert not problems, "\n".join(problems)


def test_the_rest_gets_no_worse() -> None:
    problems = []
    for name, path in FILES.items():
        found = [] if is_clean(name) else hits(path)
        if len(found) > LEFT.get(name, 0):
            problems.append(f"{name}: {len(found)} hits, {LEFT.get(name, 0)} allowed: {found}")
    assert not problems, "\n".join(problems)


def test_what_is_left_names_files_that_are_not_clean() -> None:
    assert [name for name in LEFT if name not in FILES or is_clean(name)] == []


if __name__ == "__main__":
    for name, path in FILES.items():
        if not is_clean(name) and hits(path):
            sys.stdout.write(f'    "{name}": {len(hits(path))},\n')
