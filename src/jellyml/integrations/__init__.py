"""The code in what other people's trainers save; one module for each of them."""
