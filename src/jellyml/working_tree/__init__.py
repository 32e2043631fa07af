"""The user's files as a git tree. Nothing of the user's is written."""
