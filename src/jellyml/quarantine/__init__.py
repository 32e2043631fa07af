"""A bundle from an untrusted checkpoint: unpacked under limits, checked, read."""
