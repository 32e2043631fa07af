"""Checkpoints to measure on, as ``torch.save`` writes them. A program: torch stays out of the rest.

python -m benchmarks.checkpoints PROJECT MODEL BYTES TENSORS [--bare]
"""

import sys
import tempfile
from pathlib import Path

import torch

import jellyml


def main(project: str, model: str, size: int, tensors: int, *, bare: bool) -> int:
    """Save so many tensors of so many bytes in all, and the project's snapshot unless ``bare``."""
    with tempfile.NamedTemporaryFile() as file:
        state = _tensors(Path(file.name), size // tensors, tensors)
        snapshot = {} if bare else jellyml.create_snapshot(project)
        torch.save({"model": state, **snapshot}, model)
    return 0


def _tensors(file: Path, size: int, count: int) -> dict[str, torch.Tensor]:
    """Each a storage of its own over one small file: 8 GB are saved and are never in memory."""
    content = torch.randint(256, (size,), dtype=torch.uint8, generator=_seeded())
    file.write_bytes(content.numpy().tobytes())
    return {
        f"layer.{number}.weight": torch.from_file(
            str(file), shared=False, size=size // 4, dtype=torch.float32
        )
        for number in range(count)
    }


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


if __name__ == "__main__":
    project, model, size, tensors, *rest = sys.argv[1:]
    sys.exit(main(project, model, int(size), int(tensors), bare=rest == ["--bare"]))
