"""Pickles, read opcode by opcode; nothing is imported or run."""
