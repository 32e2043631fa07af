"""Real runs of two and four processes over gloo: one of them captures, and all of them end well."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from carried import carries

from at_the_keyboard import ROOT, environment
from conftest import Folder
from jellyml.checkpoint import SIDECAR

pytest.importorskip("torch", reason="needs torch")
RUNS = Path(__file__).parent / "runs"
Start = Callable[..., Path]


@pytest.fixture
def start(repo: Folder) -> Start:
    """Start one of the scripts in the repository; the folder beside that, where it saves."""
    repo.write("train.py", "edited\n")

    def started(script: str, *words: str, processes: int = 0, needs: str = "torch") -> Path:
        if not find_spec(needs):
            pytest.skip(f"{needs} is not installed")
        launcher = [
            *("-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes)),
        ]
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                *(launcher if processes else ()),
                RUNS / script,
                *words,
            ],
            cwd=repo.path,
            env=environment(PYTHONPATH=f"{ROOT / 'src'}:{RUNS}", OMP_NUM_THREADS="1"),
            capture_output=True,
            timeout=500,
        )
        assert not done.returncode, done.stderr.decode()[-4000:]
        return repo.path.parent

    return started


@pytest.fixture
def captured(repo: Folder) -> Callable[[], int]:
    return lambda: len((repo.path.parent / "captures").read_text())


@pytest.mark.parametrize("processes", [2, 4])
def test_torch(repo: Folder, start: Start, captured: Callable[[], int], processes: int) -> None:
    place = start("plain_torch.py", processes=processes)
    assert captured() == 1
    assert len({path.read_bytes() for path in place.glob("*.filling")}) == 1
    assert len(list(place.glob("*.filling"))) == processes
    for name in ("saved", "later", "keyed"):
        carries(place / name, repo)
    assert not (place / "keyed" / SIDECAR).exists()


@pytest.mark.parametrize(
    ("way", "package", "processes"),
    [
        ("plugin", "lightning.pytorch", 2),
        ("plugin", "pytorch_lightning", 4),
        ("callback", "lightning.pytorch", 4),
        ("async", "lightning.pytorch", 2),
        ("spawn", "lightning.pytorch", 2),
        ("sharded", "lightning.pytorch", 2),
        ("sharded", "pytorch_lightning", 2),
    ],
)
def test_lightning(
    repo: Folder, start: Start, captured: Callable[[], int], way: str, package: str, processes: int
) -> None:
    needs = package.partition(".")[0]
    place = start("of_lightning.py", way, package, str(processes), needs=needs)
    runs = ("first",) if way == "spawn" else ("first", "again")
    assert captured() == len(runs)
    for run in runs:
        (saved,) = (place / run).iterdir()
        carries(saved, repo)
        assert saved.is_dir() == (way == "sharded")


@pytest.mark.parametrize("processes", [2, 4])
def test_accelerate(
    repo: Folder, start: Start, captured: Callable[[], int], processes: int
) -> None:
    place = start("of_accelerate.py", processes=processes, needs="accelerate")
    assert captured() == 1
    carries(place / "saved", repo)
    carries(place / "model", repo)


@pytest.mark.parametrize("processes", [2, 4])
def test_transformers(
    repo: Folder, start: Start, captured: Callable[[], int], processes: int
) -> None:
    place = start("of_transformers.py", processes=processes, needs="transformers")
    assert captured() == 2  # one for each run
    for name in ("checkpoint-1", "checkpoint-2", "."):
        carries(place / "out" / name, repo)
