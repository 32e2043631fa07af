"""``jellyml record``: run a command and fill the checkpoints that it writes."""
