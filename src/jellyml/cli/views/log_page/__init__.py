"""The page of ``jellyml log --html``: one file without external resources."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from itertools import chain
from string import Template

from jellyml._version import __version__
from jellyml.catalog.graph import Lineage, Member
from jellyml.cli.terminal import safe
from jellyml.cli.views.catalog import changes, when
from jellyml.cli.views.log_page import graph
from jellyml.cli.views.log_page.data import Data
from jellyml.fs.output import OutputKind
from jellyml.secrets.search import masked_text
from jellyml.snapshot.facts import format_size

_LONGEST_CELL = 300  # characters
_DOCTYPE, _GENERATOR = b"<!doctype html>", b'<meta name="generator" content="JellyML">'
_NEAR = 1024  # bytes, before any text from checkpoints


def _is_own(start: bytes) -> bool:
    return start.lower().startswith(_DOCTYPE) and _GENERATOR in start[:_NEAR]


PAGE = OutputKind("page", _is_own)


def page(tree: Lineage, data: Data) -> Iterator[str]:
    """Yield the text of the page. All text from checkpoints is escaped."""
    style, script = _part("page.css"), _part("page.js")
    runs = len({one.entry.run for one in tree.members})
    commits = len({one.commit for one in tree.members if one.commit})
    about = f"{_counted(runs, 'run')}, {_counted(commits, 'commit')}; by JellyML {__version__}"
    parts = {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "count": _counted(len(tree.members), "checkpoint"),
        "about": about,
        "by_code": graph.draw(tree.by_code(), "code"),
        "by_parent": graph.draw(tree.by_parent(), "parent"),
        "rows": "\n".join(_row(tree, member) for member in tree.members),
        "data": data.as_json(),
    }
    yield Template(_part("page.html")).substitute(parts)


def text(untrusted: str) -> str:
    """Return untrusted text escaped for HTML, with control characters visible."""
    return escape(safe(untrusted))


def _part(name: str) -> str:
    return files("jellyml.cli.views.log_page").joinpath(name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style and script, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(part: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(part.encode()).digest()).decode()}"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _row(tree: Lineage, member: Member) -> str:
    one = member.entry
    cells = (
        ("mono", str(one.path)),
        ("mono", (member.commit or "-")[:8]),
        ("", ", ".join(filter(None, (one.branch, changes(one))))),
        ("mono", ", ".join(chain(tree.describe(each) for each in member.parents))),
        ("", when(one)),
        ("number", format_size(one.size)),
        ("mono command", one.command or ""),
    )
    columns = "".join(f'<td class="{kind}">{text(_short(words))}</td>' for kind, words in cells)
    return f'<tr data-i="{member.number}" tabindex="0">{columns}</tr>'


def _short(untrusted: str) -> str:
    words = masked_text(untrusted)  # before it is cut: half a key has no form
    return words if len(words) <= _LONGEST_CELL else words[:_LONGEST_CELL] + "…"
