"""Damaged files of every format: the readers return, or raise their errors, within a budget."""

import contextlib
import io
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch

import large_arrays
from array_files import gguf
from array_files import safetensors as safetensors_of
from checkpoint_files import model, our_filling, repacked, saved
from checkpoint_files import tensor as bytes_tensor
from format_samples import FILES
from jellyml.budget import Budget, memory_in_use
from jellyml.checkpoint.bounded_file import Sources
from jellyml.checkpoint.checkpoint import Checkpoint
from jellyml.errors import JellyError
from jellyml.formats.record import KEY
from jellyml.tensors import arrays_of
from mutations import mutated, seeds

TORTURE = float(os.environ.get("TORTURE", "1"))
SECONDS, MIB = 2, 64  # of one file's budget
W = torch.arange(24.0).reshape(4, 6)


def _numpy(*, deflate: bool) -> bytes:
    import numpy

    file = io.BytesIO()
    (numpy.savez_compressed if deflate else numpy.savez)(file, a=W.numpy(), b=W.numpy().T)
    return file.getvalue()


_VIEWS = {"a": W.t(), "b": W[:, ::2], "c": W[0].expand(5, 6), "d": torch.nn.Parameter(W)}
INPUTS = {
    **{f"{kind}, {label}": data for kind, each in FILES.items() for label, data in each.items()},
    "torch with code": saved({**model(), KEY: bytes_tensor(our_filling())}),
    "torch, deflated": repacked(saved(_VIEWS), deflate=True),
    "torch, views": saved(_VIEWS),
    "torch before 1.6": saved(_VIEWS, _use_new_zipfile_serialization=False),
    "tensors": large_arrays.torch_zip(large_arrays.dictionary(w=large_arrays.tensor())),
    "safetensors of arrays": safetensors_of({"a": W, "b": W}, {"note": "x"}),
    "gguf of arrays": gguf([("w", [24], 0, bytes(96)), ("v", [2], 24, b"ab")]),
    "numpy": _numpy(deflate=False),
    "numpy, deflated": _numpy(deflate=True),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_damaged_file_is_read_within_its_budget(name: str, tmp_path: Path) -> None:
    _try(name, range(20), tmp_path / "m")


@pytest.mark.torture
@pytest.mark.parametrize("name", INPUTS)
def test_many_damaged_files_are_read_within_their_budgets(name: str, tmp_path: Path) -> None:
    _try(name, seeds(600 * TORTURE / len(INPUTS)), tmp_path / "m")


def _try(name: str, numbers: Iterable[int], path: Path) -> None:
    for seed in numbers:
        path.write_bytes(mutated(INPUTS[name], seed))
        with _bounded(f"FUZZ_SEED={seed} for {name!r}"):
            _read(path)


def _read(path: Path) -> None:
    budget = Budget(MIB << 20, SECONDS)
    with contextlib.suppress(JellyError):
        found = Checkpoint.open(path, sources=Sources(budget))
        assert found.manifest is None or isinstance(found.manifest, dict)
        assert found.others >= 0
    with contextlib.suppress(JellyError):
        for each in arrays_of(path, budget).values():
            with contextlib.suppress(JellyError):
                assert len(each.digest) == 64


@contextlib.contextmanager
def _bounded(said: str) -> Iterator[None]:
    memory, began = memory_in_use(), time.process_time()
    try:
        yield
    except Exception as problem:
        raise AssertionError(said) from problem
    assert time.process_time() - began < 3 * SECONDS, said
    assert memory_in_use() - memory < 2 * MIB << 20, said
