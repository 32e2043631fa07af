"""What differs between two of: checkpoint, commit, working tree. Code, environment, tensors."""

from jellyml.compare.diff import Comparison, diff

__all__ = ["Comparison", "diff"]
