"""Rules that stand between a file's bytes and its blob: where they lie, if there are any."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jellyml.repo.repository import Repository

_LISTED = re.compile(rb"(?:\t|/)\.gitattributes\0")

RULES = ("text", "crlf", "eol", "ident", "working-tree-encoding", "filter")
NOT_SET = (b"unspecified", b"unset")
NO_FILTER = (*NOT_SET, b"set")

CONTENT_RULES = (b"ident", b"working-tree-encoding", b"filter")


def are_rules(repository: Repository, config: Mapping[str, str], paths: Iterable[bytes]) -> bool:
    """False where every blob is its file's bytes, unless the index lists rules.

    ``paths`` are those that differ.
    """
    if not is_off({"core.autocrlf": "false", **config}, "core.autocrlf"):
        return True
    if any(file.exists() for file in shared_files(repository, config)):
        return True
    # One that is itself ignored is in no list.
    return any(True for _ in rule_files(repository.root, paths))


def lists_rules(listed: bytes) -> bool:
    """True when attributes files are among the index's lines."""
    return b".gitattributes\0" in listed and bool(_LISTED.search(listed))


def is_off(config: Mapping[str, str], key: str) -> bool:
    """True for a setting that is given and says no."""
    return config.get(key, "true").lower() in ("false", "no", "off", "0", "")


def shared_files(repository: Repository, config: Mapping[str, str]) -> tuple[Path, Path]:
    """The user's own attributes, for all repositories; and the repository's, for all folders."""
    named = config.get("core.attributesfile")
    own = repository.root / _expanded(Path(named)) if named else default_attributes_file()
    return own, repository.common_dir / "info" / "attributes"


def rule_files(root: Path, paths: Iterable[bytes]) -> Iterator[Path]:
    """The attributes files that lie in the folders above some paths."""
    folders = {path.rpartition(b"/")[0] for path in paths} | {b""}
    for folder in list(folders):
        while folder:
            folder = folder.rpartition(b"/")[0]
            folders.add(folder)
    for folder in sorted(folders):
        file = root / os.fsdecode(folder) / ".gitattributes"
        with suppress(PermissionError):
            if file.is_file():
                yield file


def default_attributes_file() -> Path:
    """Where git looks for the user's attributes when core.attributesFile is not set."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else _expanded(Path("~/.config"))) / "git" / "attributes"


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # nobody's home
        return path
