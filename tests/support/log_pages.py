"""The page of ``jellyml log``, read as text and shown in a browser."""

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from at_the_keyboard import type_command

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


class Page(HTMLParser):
    """What a browser would make of it: elements, attributes, texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open, []).append(data)

    @property
    def data(self) -> Any:
        return json.loads(self.texts["script"][0])


def written(folder: Path, *words: str, status: int = 0) -> str:
    said = type_command("log", "-q", "--html", "page.htm", *words, cwd=folder)
    assert (said.status, said.out) == (status, "")
    return (folder / "page.htm").read_text()


# In a real browser.

browser = pytest.mark.skipif(
    CHROMIUM is None, reason="the page was not tried in a browser: apt-get install chromium"
)


def shown(folder: Path, home: Path, address: str) -> tuple[str, str]:
    """The document after its script has run, and what the browser complains of."""
    assert CHROMIUM
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--dump-dom",
    )
    place = f"--user-data-dir={home / 'browser'}"
    done = subprocess.run(
        [CHROMIUM, *options, place, f"file://{folder}/{address}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    complaints = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, "\n".join(complaints)
