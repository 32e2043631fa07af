"""Checkpoints at an address, read by ranges as if they were local files."""
