"""Compare code, environment and tensors of two checkpoints, commits or working trees."""

from jellyml.compare.diff import Comparison, diff

__all__ = ["Comparison", "diff"]
