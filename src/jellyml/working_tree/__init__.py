"""Read the user's files as a git tree, without writing to them."""
