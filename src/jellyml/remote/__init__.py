"""Read checkpoints at an address by byte ranges."""
