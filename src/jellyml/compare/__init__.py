"""What differs between two of: checkpoint, commit, working tree. Code, environment, weights."""
