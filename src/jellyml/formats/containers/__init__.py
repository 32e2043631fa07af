"""The containers that several formats use: zip archives, trailers, pickles."""
