"""What several formats are made of: archives, trailers, pickles."""
