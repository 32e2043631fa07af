"""Operations on a repository and its working tree: load, undo, redo, restore."""

from jellyml.workspace.results import Change, Entry, Finding, Outcome
from jellyml.workspace.workspace import Workspace

__all__ = ["Change", "Entry", "Finding", "Outcome", "Workspace"]
