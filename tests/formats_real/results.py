"""What the tests have seen to hold, a file for each row; ``table.py`` makes the table of them."""

import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

RESULTS = Path(os.environ.get("JELLYML_FORMATS", "build/formats"))


def versions(name: str, libraries: Iterable[str], order: int) -> str:
    """The first library's name and version; where one is missing, the table says so."""
    return installed(
        name, libraries, lambda one: keep({"name": name, "order": order, "missing": one})
    )


def installed(
    name: str, libraries: Iterable[str], missing: Callable[[str], None] = lambda _: None
) -> str:
    """The first library's name and version; where one is missing, the test is skipped aloud."""
    found = []
    for library in libraries:
        try:
            version = importlib.metadata.version(library).split("+")[0]
            found.append(f"{library} {version}")
        except importlib.metadata.PackageNotFoundError:
            missing(library)
            pytest.skip(f"{name} IS NOT VERIFIED: {library} is not installed")
    return found[0]


def keep(row: dict[str, object]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{row['order']:03}.json").write_text(json.dumps(row))
