"""Put the code of a run into the checkpoints of trainers; one module a trainer."""
