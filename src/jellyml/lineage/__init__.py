"""How checkpoints come from one another: by the history of their code, by what they record."""
