"""Make a snapshot of a working tree."""
