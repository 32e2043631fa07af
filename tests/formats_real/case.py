"""One kind of checkpoint: how its library writes it, and all the ways in which that reads it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """A file as one library writes it. ``readers`` give values that can be compared."""

    name: str
    format: str  #: that of the module that has to recognise it
    file: str
    library: str  #: the distribution whose version counts
    write: Callable[[Path], object]
    readers: Mapping[str, Reader]
    refused: str = ""  #: words of the reason, where it cannot be filled
    line: str = ""  #: what to write when saving
    needs: tuple[str, ...] = ()


def numbers() -> dict[str, Any]:
    import numpy as np

    return {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bias": np.zeros(3, dtype=np.float64),
    }
