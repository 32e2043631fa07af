"""Find the checkpoints below some folders, list them, and draw how they descend."""
