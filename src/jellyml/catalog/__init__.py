"""Checkpoints below some folders: find them, list them, and draw how they descend."""
