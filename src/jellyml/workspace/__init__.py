"""A repository and its working tree, taken from one state to another and back."""

from jellyml.workspace.results import Change, Entry, Finding, Outcome
from jellyml.workspace.workspace import Workspace

__all__ = ["Change", "Entry", "Finding", "Outcome", "Workspace"]
