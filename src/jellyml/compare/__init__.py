"""What differs between two of: checkpoint, commit, working tree. Code, environment, weights."""

from jellyml.compare.comparison import Comparison, diff

__all__ = ["Comparison", "diff"]
