"""Facts of the running process and its machine: what the code was run with.

Where a section may hold secrets it is returned masked, by one call of ``redact_tree``.
Nothing here starts a program, imports a package, or initialises a device: a capture must not
cost more than a look, and CUDA that is awake cannot be forked.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from jellyml.secrets.redact import ANY_FIELD, redact_tree

# Variables that change what a run does, or say which of many it was. No others are recorded.
_VARIABLES = re.compile(
    r"CUDA_(?:DEVICE_ORDER|LAUNCH_BLOCKING|VISIBLE_DEVICES)|CUBLAS_WORKSPACE_CONFIG"
    r"|NVIDIA_(?:TF32_OVERRIDE|VISIBLE_DEVICES)|(?:HIP|ROCR)_VISIBLE_DEVICES"
    r"|(?:OMP|MKL|OPENBLAS|NUMEXPR)_NUM_THREADS|TOKENIZERS_PARALLELISM"
    r"|PYTORCH_(?:CUDA_ALLOC_CONF|ENABLE_MPS_FALLBACK)|TORCH_(?:COMPILE_DISABLE|CUDA_ARCH_LIST)"
    r"|XLA_FLAGS|JAX_(?:ENABLE_X64|PLATFORMS)|TF_(?:DETERMINISTIC_OPS|ENABLE_ONEDNN_OPTS)"
    r"|PYTHON(?:HASHSEED|OPTIMIZE)|PL_GLOBAL_SEED|CONDA_DEFAULT_ENV"
    r"|(?:LOCAL_|GROUP_|NODE_)?RANK|(?:LOCAL_)?WORLD_SIZE"
    r"|SLURM_(?:ARRAY_JOB_ID|ARRAY_TASK_ID|JOB_ID|JOB_NAME|NNODES|NODEID|NTASKS|PROCID)"
    r"|(?:LSB_|PBS_)JOBID|MLFLOW_RUN_ID|WANDB_(?:PROJECT|RUN_ID)"
)
_LOCK_FILES = re.compile(
    r"(?:uv|poetry|pdm|pixi)\.lock|Pipfile\.lock|pylock(?:\.[^.]+)?\.toml|requirements.*\.txt"
    r"|environment\.ya?ml|conda-lock\.yml"
)
# Where pip and uv are told of other indexes than the public one.
_INDEX_VARIABLES = re.compile(
    r"PIP_(?:EXTRA_)?INDEX_URL|PIP_FIND_LINKS|UV_(?:(?:EXTRA_|DEFAULT_)?INDEX(?:_URL)?|FIND_LINKS)"
)
# The same in their files, INI or TOML, with the indented lines that go on.
_INDEX_SETTING = re.compile(
    r"^[ \t]*(?:(?:extra-|default-)?index(?:-url)?|find-links|url)[ \t]*[=:](.*(?:\n[ \t]+\S.*)*)",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"',\]]+")
# The latest cells of a notebook are recorded, as many as fit.
_CELLS_SIZE = 64 << 10
_MOST_WORDS = 1000
_LONGEST_WORD = 4096


def command(root: Path) -> dict[str, object]:
    """How this process was started; places in the repository are relative to its root."""
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    named = isinstance(script, str) and not script.startswith("<")  # <stdin>
    lines = {
        "argv": _words(getattr(sys, "argv", None)),
        "launched": _words(getattr(sys, "orig_argv", None)),
    }
    few = {name: words[:_MOST_WORDS] for name, words in lines.items()}
    masked = redact_tree(few, "arguments")
    return {
        **{name: _cut(masked[name], len(words)) for name, words in lines.items()},
        "script": _place(str(script), root) if named else None,
        "module": getattr(getattr(main, "__spec__", None), "name", None),
        "cwd": _current_folder(root),
    }


def notebook(root: Path) -> dict[str, object] | None:
    """The cells that this kernel has run, None where there is no IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None:
        return None
    name = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    room = _CELLS_SIZE
    cells: list[dict[str, object]] = []
    ran: list[str] = shell.history_manager.input_hist_raw
    for number in range(len(ran) - 1, 0, -1):
        room -= len(ran[number])
        if room < 0:
            break
        cells.insert(0, {"number": number, "source": ran[number]})
    section: dict[str, object] = {"name": _place(name, root) if name else None, "cells": cells}
    return redact_tree(section, {"cells": {"source": "text"}})


def python() -> dict[str, object]:
    return {
        "version": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "abi": f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}",
    }


def machine() -> dict[str, object]:
    """The operating system, the host and how many processors this process may use."""
    if sys.platform == "win32":
        found = sys.getwindowsversion()
        system, release = "Windows", f"{found.major}.{found.minor}.{found.build}"
        kind, host = os.environ.get("PROCESSOR_ARCHITECTURE"), os.environ.get("COMPUTERNAME")
    else:
        system, host, release, _, kind = os.uname()
    return {
        "system": system,
        "release": release,
        "machine": kind,
        "distribution": _linux_name(),
        "libc": _libc(),
        "cpus": _cpus(),
        "host": host,
    }


def torch() -> dict[str, object] | None:
    """None unless torch is imported already. CUDA is asked only where it is awake already."""
    found = sys.modules.get("torch")
    if found is None:
        return None
    facts: dict[str, object] = {
        "version": found.__version__,
        "cuda": found.version.cuda,
        "rocm": found.version.hip,
        "seed": found.initial_seed(),
        "deterministic": found.are_deterministic_algorithms_enabled(),
    }
    if found.cuda.is_initialized():
        facts["cudnn"] = found.backends.cudnn.version()
        count = found.cuda.device_count()
        facts["devices"] = [found.cuda.get_device_name(number) for number in range(count)]
    return facts


def variables() -> dict[str, object]:
    given = sorted(os.environ.items())
    return redact_tree({name: text for name, text in given if _VARIABLES.fullmatch(name)}, "text")


def lock_files(root: Path) -> dict[str, object]:
    """The digest of each file at the root that pins what is to be installed."""
    with os.scandir(root) as entries:
        paths = [Path(entry) for entry in entries if _LOCK_FILES.fullmatch(entry.name)]
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
        if path.is_file()
    }


def indexes(root: Path) -> list[str]:
    """Where pip and uv look for packages besides the public index, without credentials."""
    told = [value for name, value in os.environ.items() if _INDEX_VARIABLES.fullmatch(name)]
    for path in _configuration_files(root):
        try:
            text = path.read_text(errors="replace") if path.is_file() else ""
        except OSError:
            continue
        told += (setting[1] for setting in _INDEX_SETTING.finditer(text))
    urls = [url for text in told for url in _ADDRESS.findall(text)]
    return list(dict.fromkeys(redact_tree(urls, "address")))


def distributions(root: Path, places: Iterable[object] | None = None) -> dict[str, object]:
    """What is installed, by name: its version, and where it is from if that is no index.

    ``places`` are folders that hold it; by default those that this process imports from.

    An editable or local install inside the repository has its ``path``; one from elsewhere on
    this machine is marked ``elsewhere``, for nobody else can install it.
    """
    found: dict[str, object] = {}
    for entry in sys.path if places is None else places:
        if not isinstance(entry, str):
            continue
        try:
            folder = Path(entry).absolute()
            installed = _installed_in(folder, folder.stat().st_mtime_ns)
        except OSError:  # missing, or a zip file
            continue
        for name, version, origin in installed:
            if name not in found:
                found[name] = {"version": version, **_origin(origin, root)}
    return redact_tree(dict(sorted(found.items())), {ANY_FIELD: {"url": "address"}})


@lru_cache(maxsize=64)
def _installed_in(folder: Path, _mtime: int) -> tuple[tuple[str, str, str], ...]:
    """Name, version and ``direct_url.json`` of each distribution there.

    The folders' names alone say the first two: reading each METADATA takes a hundred times
    as long, as importlib.metadata does.
    """
    installed = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
            if entry.name.endswith(".dist-info") and name:
                origin = _text(Path(entry.path, "direct_url.json"))
                installed.append((re.sub(r"[-_.]+", "-", name).lower(), version, origin))
    return tuple(installed)


def _origin(text: str, root: Path) -> dict[str, object]:
    """What ``direct_url.json`` (PEP 610) says; nothing if it is broken."""
    if not text:
        return {}
    try:
        told = json.loads(text)
        url = str(told["url"])
        facts: dict[str, object] = {"url": url}
        if url.startswith("file:"):
            path = Path(unquote(url.removeprefix("file://")))
            inside = path.is_relative_to(root)
            facts = {"path": _place(str(path), root)} if inside else facts | {"elsewhere": True}
        if told.get("dir_info", {}).get("editable"):
            facts["editable"] = True
        if "vcs_info" in told:
            facts["commit"] = told["vcs_info"].get("commit_id")
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return facts


def _configuration_files(root: Path) -> Iterator[Path]:
    home = Path.home()
    own = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    for folder in (sys.prefix, own / "pip", home / ".pip", "/etc", "/etc/xdg/pip",
                   home / "Library/Application Support/pip"):  # fmt: skip
        yield Path(folder, "pip.conf")
    for folder in (sys.prefix, Path(os.environ.get("APPDATA") or home, "pip")):
        yield Path(folder, "pip.ini")
    yield from (own / "uv/uv.toml", Path("/etc/uv/uv.toml"), root / "uv.toml")
    yield root / "pyproject.toml"
    for name in ("PIP_CONFIG_FILE", "UV_CONFIG_FILE"):
        if os.environ.get(name):
            yield Path(os.environ[name])


def _words(given: object) -> list[str]:
    """A command line; a program may have put anything there, of any size."""
    return list(map(str, given)) if isinstance(given, list | tuple) else []


def _cut(words: list[str], count: int) -> list[str]:
    """The first words of a command line of ``count``, masked already: half a key has no form."""
    rest = [f"... and {count - _MOST_WORDS} more"] if count > _MOST_WORDS else []
    return [word[:_LONGEST_WORD] for word in words] + rest


def _current_folder(root: Path) -> str | None:
    try:
        return _place(str(Path.cwd()), root)
    except OSError:  # it was removed
        return None


def _place(path: str, root: Path) -> str:
    """From the root, with forward slashes; absolute if it lies elsewhere."""
    for place, base in ((Path(path), root), (Path(path).resolve(), root.resolve())):
        if place.is_relative_to(base):
            return place.relative_to(base).as_posix()
    return path


def _linux_name() -> str | None:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text(Path("/etc/os-release")), re.MULTILINE)
    return found[1] if found else None


def _libc() -> str | None:
    if sys.platform == "linux":
        return os.confstr("CS_GNU_LIBC_VERSION")
    return None


def _cpus() -> int | None:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
