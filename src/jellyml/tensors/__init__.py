"""The arrays of a checkpoint, located without torch, unpickling or reading them."""

from jellyml.tensors.lazy_array import LazyArray
from jellyml.tensors.readers import Arrays, NoArrays, arrays_of

__all__ = ["Arrays", "LazyArray", "NoArrays", "arrays_of"]
