"""A repository and its working tree, taken from one state to another and back."""

from jellyml.workspace.operations import Workspace
from jellyml.workspace.outcome import Change, Entry, Finding, Outcome

__all__ = ["Change", "Entry", "Finding", "Outcome", "Workspace"]
