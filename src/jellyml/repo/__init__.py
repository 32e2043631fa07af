"""Git itself: start it, find a repository, understand its messages and paths."""
