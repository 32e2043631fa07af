"""A command run as ever, with the code of its start put into the checkpoints that it writes."""
