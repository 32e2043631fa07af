"""Checkpoints that lie elsewhere: read by ranges, as if they were files here."""
