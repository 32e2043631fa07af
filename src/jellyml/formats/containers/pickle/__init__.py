"""Pickles, read opcode by opcode without importing or running anything."""
