"""The modules of this process that are neither Python's own nor installed, with their files.

Nothing here imports a module or reads an attribute of one: a lazy module would load itself.
"""

import os
import re
import site
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
# Programs that load into a run: JellyML itself, and debuggers, which have no fixed place.
TOOLS: tuple[str, ...] = (str(Path(__file__).parents[1]),)
_DEBUGGER = re.compile(r"(?:debugpy|_?pydev\w*)(?:\.|\Z)")
# What compilers of torch write at run time.
_COMPILED = re.compile(r"[/\\](?:torchinductor_\w+|torch_extensions|\.triton)[/\\]")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A module and its file, as it was imported; ``path`` is absolute, links not resolved."""

    name: str
    path: str


def user_modules() -> list[Loaded]:
    """Return the modules whose file may be the user's, ``__main__`` among them."""
    apart = _prefixes()
    return [
        Loaded(name, path)
        for name, module in sys.modules.copy().items()
        if (path := _file(module)) and not _is_apart(path, apart) and not _DEBUGGER.match(name)
    ]


def main_file() -> str | None:
    """Return the file of ``__main__``; None for a launcher, an installed program or no file."""
    path = _file(sys.modules.get("__main__"))
    if path is None or _is_apart(path, _prefixes()) or is_installed(path):
        return None
    return path if Path(path).is_file() else None


def is_installed(path: str) -> bool:
    """Return True if the file's folder on ``sys.path`` holds installed distributions.

    This is for ``pip install --target``. It reads a folder, so it is only for few files.
    """
    entries = [entry for entry in map(str, sys.path) if path.startswith(entry.rstrip(os.sep) + "/")]
    return bool(entries) and _holds_distributions(max(entries, key=len))


@lru_cache(maxsize=64)
def _holds_distributions(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".dist-info") for entry in entries)
    except OSError:
        return False


def _file(module: object) -> str | None:
    """Return the absolute path of a module's file, from its dictionary alone."""
    path = _dictionary(module).get("__file__")
    if not isinstance(path, str) or not path or path.startswith("<"):
        return None
    return path if os.path.isabs(path) else str(Path(path).absolute())  # noqa: PTH117 (quick)


def _dictionary(module: object) -> Mapping[str, object]:
    try:
        # ``vars`` would call the module's own ``__getattribute__``: a lazy module loads there.
        found = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_apart(path: str, prefixes: tuple[str, ...]) -> bool:
    return (
        path.startswith(prefixes)
        or any(part in path for part in _INSTALLED)
        or _COMPILED.search(path) is not None
    )


def _prefixes() -> tuple[str, ...]:
    """Return the folders of Python, of installed packages, programs and tools."""
    programs = "Scripts" if os.name == "nt" else "bin"
    homes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    folders = [*_standard_library(), *TOOLS, *(os.path.join(home, programs) for home in homes)]  # noqa: PTH118
    user = getattr(site, "USER_BASE", None)
    if user:
        folders.append(os.path.join(user, programs))  # noqa: PTH118
    return tuple(folder.rstrip(os.sep) + os.sep for folder in folders)


def _standard_library() -> Iterator[str]:
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    yield library
    yield os.path.realpath(library)
