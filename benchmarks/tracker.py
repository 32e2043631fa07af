"""Another tracker's own capture of the code. A program, so that none of them meets another.

python -m benchmarks.tracker NAME, in a project: says ``ready``, then captures at each line on
stdin and answers with the seconds it took.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

# By name, so that mypy needs none of them.
_load: Callable[[str], Any] = import_module
Capture = Callable[[], object]


@contextmanager
def wandb() -> Iterator[Capture]:
    """``run.log_code`` of every file: it copies and hashes them; offline, nothing is sent."""
    run = _load("wandb").init(mode="offline", project="bench")

    def ours(path: str, root: str) -> bool:
        return Path(path).relative_to(root).parts[0] not in (".git", "wandb")

    yield lambda: run.log_code(".", include_fn=ours)
    run.finish()


@contextmanager
def mlflow() -> Iterator[Capture]:
    """Git model versioning: branch, commit and a diff of what git tracks, as tags."""
    genai = _load("mlflow.genai")

    def version() -> None:
        with genai.enable_git_model_versioning() as context:
            if context.info is None:
                raise RuntimeError("mlflow found no git information")

    yield version


@contextmanager
def dvc() -> Iterator[Capture]:
    """``dvc exp save`` with the untracked files named."""
    api = _load("dvc.api")
    git = _load("git").Repo(".").git
    yield lambda: api.exp_save(
        force=True, include_untracked=git.ls_files("-o", "--exclude-standard").splitlines()
    )


TRACKERS = {tracker.__name__: tracker for tracker in (wandb, mlflow, dvc)}


def main() -> int:
    with TRACKERS[sys.argv[1]]() as capture:
        print("ready", flush=True)
        for _ in sys.stdin:
            began = time.perf_counter()
            capture()
            print(f"took {time.perf_counter() - began}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
