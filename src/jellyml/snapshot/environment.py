"""Facts of the running process and its machine: what the code was run with.

A section that may hold secrets is returned masked, by one call of ``redact_tree``.
No function here starts a program, imports a package or initialises a device: a capture must be
quick, and a process with an initialised CUDA cannot be forked.
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

# Variables that change a run's results, or identify the run. No others are recorded.
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
# Variables that name package indexes for pip and uv, besides the public one.
_INDEX_VARIABLES = re.compile(
    r"PIP_(?:EXTRA_)?INDEX_URL|PIP_FIND_LINKS|UV_(?:(?:EXTRA_|DEFAULT_)?INDEX(?:_URL)?|FIND_LINKS)"
)
# The same settings in INI or TOML files, with their continuation lines.
_INDEX_SETTING = re.compile(
    r"^[ \t]*(?:(?:extra-|default-)?index(?:-url)?|find-links|url)[ \t]*[=:](.*(?:\n[ \t]+\S.*)*)",
    re.MULTILINE,
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"',\]]+")
# Characters of notebook cells that are recorded, the latest cells first.
_CELLS_SIZE = 64 << 10
_MOST_WORDS = 1000
_LONGEST_WORD = 4096


def command(root: Path) -> dict[str, object]:
    """Return how this process was started; paths in the repository are relative to ``root``."""
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
    """Return the notebook and the cells that this kernel has run; None outside IPython."""
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
    """Return the operating system, the host and the number of usable processors."""
    if sys.platform == "win32":
        windows = sys.getwindowsversion()
        system, release = "Windows", f"{windows.major}.{windows.minor}.{windows.build}"
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
    """Return torch's version, seed and devices; None if torch is not imported.

    Devices are listed only if CUDA is already initialised.
    """
    module = sys.modules.get("torch")
    if module is None:
        return None
    facts: dict[str, object] = {
        "version": module.__version__,
        "cuda": module.version.cuda,
        "rocm": module.version.hip,
        "seed": module.initial_seed(),
        "deterministic": module.are_deterministic_algorithms_enabled(),
    }
    if module.cuda.is_initialized():
        facts["cudnn"] = module.backends.cudnn.version()
        count = module.cuda.device_count()
        facts["devices"] = [module.cuda.get_device_name(number) for number in range(count)]
    return facts


def variables() -> dict[str, object]:
    environ = sorted(os.environ.items())
    return redact_tree({name: text for name, text in environ if _VARIABLES.fullmatch(name)}, "text")


def lock_files(root: Path) -> dict[str, object]:
    """Return file name -> SHA-256 of each lock or requirements file at the root."""
    with os.scandir(root) as entries:
        paths = [Path(entry) for entry in entries if _LOCK_FILES.fullmatch(entry.name)]
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths)
        if path.is_file()
    }


def indexes(root: Path) -> list[str]:
    """Return the URLs of package indexes besides the public one, without credentials."""
    texts = [value for name, value in os.environ.items() if _INDEX_VARIABLES.fullmatch(name)]
    for path in _configuration_files(root):
        try:
            text = path.read_text(errors="replace") if path.is_file() else ""
        except OSError:
            continue
        texts += (setting[1] for setting in _INDEX_SETTING.finditer(text))
    urls = [url for text in texts for url in _ADDRESS.findall(text)]
    return list(dict.fromkeys(redact_tree(urls, "address")))


def distributions(root: Path, folders: Iterable[object] | None = None) -> dict[str, object]:
    """Return name -> version and origin of each installed distribution.

    ``folders`` are searched for them; by default ``sys.path``. An origin is recorded only if
    the distribution was not installed from an index. An editable or local install inside the
    repository has its ``path``. One from elsewhere on this machine is marked ``elsewhere``,
    because no other machine can install it.
    """
    rows: dict[str, object] = {}
    for entry in sys.path if folders is None else folders:
        if not isinstance(entry, str):
            continue
        try:
            folder = Path(entry).absolute()
            installed = _installed_in(folder, folder.stat().st_mtime_ns)
        except OSError:  # missing, or a zip file
            continue
        for name, version, origin in installed:
            if name not in rows:
                rows[name] = {"version": version, **_origin(origin, root)}
    return redact_tree(dict(sorted(rows.items())), {ANY_FIELD: {"url": "address"}})


@lru_cache(maxsize=64)
def _installed_in(folder: Path, _mtime: int) -> tuple[tuple[str, str, str], ...]:
    """Return the name, version and ``direct_url.json`` of each distribution in ``folder``.

    Name and version come from the name of the ``.dist-info`` folder. importlib.metadata reads
    each METADATA file, which takes a hundred times as long.
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
    """Return the origin in a ``direct_url.json`` (PEP 610); empty if it is malformed."""
    if not text:
        return {}
    try:
        direct_url = json.loads(text)
        url = str(direct_url["url"])
        facts: dict[str, object] = {"url": url}
        if url.startswith("file:"):
            path = Path(unquote(url.removeprefix("file://")))
            inside = path.is_relative_to(root)
            facts = {"path": _place(str(path), root)} if inside else facts | {"elsewhere": True}
        if direct_url.get("dir_info", {}).get("editable"):
            facts["editable"] = True
        if "vcs_info" in direct_url:
            facts["commit"] = direct_url["vcs_info"].get("commit_id")
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


def _words(value: object) -> list[str]:
    """Return a command line as strings; a program may have assigned any value to ``sys.argv``."""
    return list(map(str, value)) if isinstance(value, list | tuple) else []


def _cut(words: list[str], count: int) -> list[str]:
    """Return the first words of a command line of ``count`` words.

    They are masked before they are cut: half a key no longer matches its pattern.
    """
    rest = [f"... and {count - _MOST_WORDS} more"] if count > _MOST_WORDS else []
    return [word[:_LONGEST_WORD] for word in words] + rest


def _current_folder(root: Path) -> str | None:
    try:
        return _place(str(Path.cwd()), root)
    except OSError:  # it was removed
        return None


def _place(path: str, root: Path) -> str:
    """Return the path relative to ``root``, with forward slashes; unchanged if outside it."""
    for place, base in ((Path(path), root), (Path(path).resolve(), root.resolve())):
        if place.is_relative_to(base):
            return place.relative_to(base).as_posix()
    return path


def _linux_name() -> str | None:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text(Path("/etc/os-release")), re.MULTILINE)
    return match[1] if match else None


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
