"""Git attributes: the rules that convert a file's bytes to its blob, and their files."""

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


def has_rules(repository: Repository, config: Mapping[str, str], paths: Iterable[bytes]) -> bool:
    """Return False if every blob equals its file's bytes, apart from rules in the index.

    ``paths`` are the paths that differ from HEAD.
    """
    if not is_off({"core.autocrlf": "false", **config}, "core.autocrlf"):
        return True
    if any(file.exists() for file in shared_files(repository, config)):
        return True
    # Neither status nor the index lists an attributes file that is itself ignored.
    return any(True for _ in rule_files(repository.root, paths))


def lists_rules(listed: bytes) -> bool:
    """Return True if ``git ls-files`` lists attributes files."""
    return b".gitattributes\0" in listed and bool(_LISTED.search(listed))


def is_off(config: Mapping[str, str], key: str) -> bool:
    """Return True if a setting is present and false."""
    return config.get(key, "true").lower() in ("false", "no", "off", "0", "")


def shared_files(repository: Repository, config: Mapping[str, str]) -> tuple[Path, Path]:
    """Return the attributes files of the user and of the repository, which apply to all folders."""
    named = config.get("core.attributesfile")
    own = repository.root / _expanded(Path(named)) if named else default_attributes_file()
    return own, repository.common_dir / "info" / "attributes"


def rule_files(root: Path, paths: Iterable[bytes]) -> Iterator[Path]:
    """Yield the attributes files in the folders above ``paths``."""
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
    """Return the user's attributes file if core.attributesFile is not set."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else _expanded(Path("~/.config"))) / "git" / "attributes"


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # the user has no home folder
        return path
