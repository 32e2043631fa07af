"""What every row is measured with: a folder to work in, sizes, runs, sealed surroundings."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from benchmarks import repositories

# JellyML looks twice at files this new; a user's are hardly ever.
_FRESH = 2.2
QUICK_RUNS = 3
_NOT_OURS = ("GIT_", "XDG_", "JELLYML", "PYTHON")


@dataclass(frozen=True, slots=True)
class Bench:
    """``work`` is removed at the end; ``quick`` means small sizes and few runs."""

    work: Path
    quick: bool
    pristine: dict[int, Path] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (100, 5_000) if self.quick else (100, 5_000, 50_000)

    def runs(self, files: int = 100) -> int:
        """Short runs are noisy, so there are more of them."""
        if self.quick:
            return QUICK_RUNS
        return {100: 21, 5_000: 11}.get(files, 7)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder that is gone afterwards, however large it became."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def project(self, files: int, *, dirty: bool) -> Iterator[Path]:
        """A repository of so many files, in ``<a folder of its own>/project``."""
        if files not in self.pristine:
            self.pristine[files] = self.work / f"pristine-{files}"
            repositories.create(self.pristine[files], files)
        with self.folder() as place:
            project = place / "project"
            repositories.copy(self.pristine[files], project)
            if dirty:
                repositories.make_dirty(project)
                time.sleep(_FRESH)
            yield project

    @property
    def captures(self) -> Path:
        """The folder in which JellyML caches captures for the next process."""
        return user_cache_path("jellyml", appauthor=False) / "captures"

    def forget(self) -> None:
        """Make every state a new one."""
        for capture in self.captures.glob("*"):
            capture.unlink()


@contextmanager
def sealed(quick: bool) -> Iterator[Bench]:
    """A bench with a home of its own: without the user's configuration, cache and identity."""
    work = Path(tempfile.mkdtemp(prefix="jellyml-bench-"))
    home = work / "home"
    home.mkdir()
    for variable in [one for one in os.environ if one.startswith(_NOT_OURS)]:
        del os.environ[variable]
    os.environ |= {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    for key, value in (
        ("user.name", "You"),
        ("user.email", "you@example.org"),
        ("advice.detachedHead", "false"),
        ("gc.auto", "0"),  # a clean-up in the background would be counted
        ("maintenance.auto", "false"),
    ):
        subprocess.run(["git", "config", "--global", key, value], check=True)
    try:
        yield Bench(work, quick)
    finally:
        shutil.rmtree(work, ignore_errors=True)
