"""All of them, in the order of the table."""

from of_graphs import KERAS, OTHERS, TENSORFLOW
from of_torch import PARTS, SAFETENSORS, TORCH
from of_values import FLAX, NUMPY, PICKLES

CASES = (
    *TORCH, *SAFETENSORS, *OTHERS, *KERAS, *NUMPY, *PICKLES, *FLAX, *TENSORFLOW, *PARTS,
)  # fmt: skip
