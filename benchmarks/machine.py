"""What a run was measured on."""

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import jellyml


def described(work: Path) -> dict[str, str]:
    """Words for the page: no names of hosts, users or folders."""
    git = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout
    return {
        "JellyML": f"{jellyml.__version__} ({_commit()})",
        "git": git.removeprefix("git version").strip(),
        "Python": platform.python_version(),
        "torch": metadata.version("torch"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}",
        "processor": f"{os.cpu_count()} cores, {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "file system": _file_system(work),
    }


def load() -> float:
    """Processes that want to run, besides the benchmark, on average of the last minute."""
    return os.getloadavg()[0]


def _commit() -> str:
    """The code that was measured; a ``+`` says that it was not committed."""
    here = Path(__file__).parent
    if not shutil.which("git"):
        return "unknown"
    words = ["git", "describe", "--always", "--exclude=*", "--dirty=+", "--abbrev=10"]
    done = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not from a repository"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _file_system(folder: Path) -> str:
    """The type of the one that holds a folder."""
    if sys.platform != "linux":
        return "unknown"
    words = ["stat", "-f", "-c", "%T", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
