"""The formats of checkpoint files, one module each; ``registry`` lists them."""
