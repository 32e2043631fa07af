"""Which of the files that a run wrote are checkpoints: by their bytes, and by who lies beside them.

A folder that is one checkpoint of many files counts as a whole. What may as well be data (a small
pickle, an array) counts when it is large or is called like a model.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jellyml.checkpoint import MANIFEST_COMING, MANIFEST_SIDECAR, SIDECAR
from jellyml.formats import compressed, format_of, hdf5, npy, npz, plain_pickle, scan

_OURS = (SIDECAR, MANIFEST_SIDECAR, MANIFEST_COMING)
_PERHAPS = (hdf5, npy, npz, plain_pickle)
_LARGE = 1_000_000  # bytes, as for what a capture leaves out
_CALLED_SO = re.compile(
    r"model|check_?point|ckpt|weight|epoch|step|best|last|final|estimator|classifier|\.joblib$"
    r"|\.keras$|\.h5$",
    re.IGNORECASE,
)
# What trainers put beside the weights: state of theirs that nobody loads alone.
_COMPANION = re.compile(
    r"training_args\.bin|(?:scheduler|scaler|optimizer|sampler)(?:_\d+)?\.(?:pt|bin)"
    r"|rng_state(?:_\d+)?\.pth|random_states_\d+\.pkl"
)
# What is called by the digest of its content lies in a cache, which a changed file would break:
# those of Hugging Face, DVC, Weights & Biases.
_DIGEST = re.compile(r"[0-9a-f]{30,128}")
# Where Hugging Face's hub notes what it has put into a folder; it was not made there.
_FETCHED = Path(".cache", "huggingface", "download")
_MOST_ABOVE = 4  # folders in which such notes are looked for
# One of these names, or names that end so, in a folder that is one checkpoint. The last are
# DeepSpeed's, a file for each process.
_WHOLE = (
    "trainer_state.json",  # transformers
    "saved_model.pb",  # TensorFlow
    "_CHECKPOINT_METADATA",  # Orbax
    "random_states_0.pkl",  # accelerate
)
_WHOLE_ENDING = (".safetensors.index.json", ".bin.index.json", ".distcp", "_optim_states.pt")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file or folder that is to be filled. ``size`` is that of what was written, in bytes."""

    path: Path
    size: int
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A file that could be data as well: it is named, not filled."""

    path: Path


def candidates(written: Iterable[Path]) -> Iterator[Candidate | Doubtful]:
    """Those among the files that a run wrote; the largest is not the first."""
    by_folder: dict[Path, list[Path]] = {}
    for path in written:
        by_folder.setdefault(path.parent, []).append(path)
    for folder, paths in by_folder.items():
        new = [path for path in paths if path.name not in _OURS and not _is_fetched(path)]
        if new and _is_whole(folder):
            yield Candidate(folder, sum(map(_size, new)), folder=True)
        else:
            for path in new:
                if found := _judged(path):
                    yield found


def _is_fetched(path: Path) -> bool:
    """Whether it is somebody else's, and was only brought here."""
    if _DIGEST.fullmatch(path.name):
        return True
    notes = (
        above / _FETCHED / path.relative_to(above).with_name(f"{path.name}.metadata")
        for above in path.parents[:_MOST_ABOVE]
    )
    return any(each.exists() for each in notes)


def _is_whole(folder: Path) -> bool:
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names are enough)
    except OSError:
        return False
    if ".git" in names:  # nothing is put beside code
        return False
    return any(name in _WHOLE or name.endswith(_WHOLE_ENDING) for name in names)


def _judged(path: Path) -> Candidate | Doubtful | None:
    if _COMPANION.fullmatch(path.name):
        return None
    try:
        with path.open("rb", buffering=0) as file:
            form = format_of(file)
    except OSError:  # gone again
        return None
    size = _size(path)
    if form is scan or form is compressed or not size:
        return None
    if form in _PERHAPS and size < _LARGE and not _CALLED_SO.search(path.name):
        return Doubtful(path)
    return Candidate(path, size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
